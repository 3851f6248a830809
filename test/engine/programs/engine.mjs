// Runs one operation in a process of its own, so that it can be killed.
const { kind, options } = JSON.parse(process.argv[2]);
const engine = await import(process.argv[3]);
const result = await engine[kind]({ ...options, passphrase: async () => "correct-horse" });
console.log(JSON.stringify(result));
