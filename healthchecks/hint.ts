/** A command line for a message, with the stack that this runs for: the command line says it in the environment, `atelier env` too. */
export function atelier(command: string): string {
  const stack = process.env.ATELIER_STACK || process.env.PULUMI_STACK || "rehearsal";
  return `\`npx atelier ${command}${stack === "rehearsal" ? "" : ` --stack ${stack}`}\``;
}

/** A path as a shell takes it. */
export const quoted = (path: string): string =>
  /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
