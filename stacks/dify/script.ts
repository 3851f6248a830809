/**
 * Runs a script of this project on the control machine, its input on standard input.
 * It lives in the state as text: it may use nothing of this module.
 * @param file below the project's folder
 * @returns its exit code (null: killed after 180 s), its standard output, and why it failed in its own words
 */
export async function runScript(
  file: string,
  action: string,
  input: unknown,
): Promise<{ code: number | null; stdout: string; why: string }> {
  const { spawn } = await import("node:child_process");
  const { existsSync } = await import("node:fs");
  // The program's folder is the working folder; some engines start providers in the project's.
  const script = [`../${file}`, file].find((path) => existsSync(path));
  if (!script) throw new Error(`${file} is not to be found from ${process.cwd()}`);
  const child = spawn(process.execPath, [script, action], { stdio: ["pipe", "pipe", "pipe"] });
  const told = { stdout: "", stderr: "" };
  child.stdout.on("data", (data: Buffer) => {
    told.stdout += data;
  });
  child.stderr.on("data", (data: Buffer) => {
    told.stderr += data;
  });
  child.stdin.on("error", () => {});
  child.stdin.end(JSON.stringify(input));
  const seconds = 180;
  const deadline = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  }).finally(() => clearTimeout(deadline));
  const why = told.stderr.trim().slice(-2000) || `its checks did not end within ${seconds} s`;
  return { code, stdout: told.stdout, why };
}
