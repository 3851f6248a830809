import { parse } from "yaml";
import { parseSettings, SettingsError } from "../../../stacks/schema.ts";
import { UserError } from "../errors.ts";
import type { Box } from "./sshCommand.ts";

/** How `up` logs in to a new box. */
export type Login = { keyFile: string } | { agent: true } | { passwordEnv: string };

export interface Wanted {
  box: Box;
  login: Login;
  /** A profile of the table of upstreams. */
  upstreams: string;
  publicUrl?: string | undefined;
}

/**
 * The settings file of a stack for a rented box, with the words that help to go on from there.
 * @throws UserError (exit code 2) with every mistake at once, by the settings' own rules
 */
export function settingsText(stack: string, { box, login, upstreams, publicUrl }: Wanted): string {
  const host: [string, unknown][] = [
    ["kind", "ssh"],
    ["address", box.address],
    ["port", box.port ?? 22],
    ["user", box.user ?? "root"],
    ...Object.entries(login),
  ];
  const line = ([key, value]: [string, unknown]) =>
    `    ${key}: ${JSON.stringify(value).replace(/^"([A-Za-z/~][\w./~-]*)"$/, "$1")}`;
  const text = `# A rented GPU box. Every setting: README.md, "Settings that matter".
config:
  atelier:host:
${host.map(line).join("\n")}
    # What the platform proposes (workspace, cache, public address) is shown by \`up\`; a setting here overrides it.
  atelier:upstreams:
    # direct: GitHub, PyPI, Hugging Face. china: mirrors first. auto: what the box measures. offline: its cache alone.
    profile: ${upstreams}
  atelier:webui:
    port: 8080
${publicUrl === undefined ? "    # Where the platform maps port 8080 to.\n    # publicUrl: https://example.com:12345" : line(["publicUrl", publicUrl])}
`;
  const config = (parse(text) as { config: Record<string, unknown> }).config;
  const raw = Object.fromEntries(Object.entries(config).map(([key, value]) => [key.replace("atelier:", ""), value]));
  try {
    parseSettings(raw, stack);
  } catch (error) {
    if (error instanceof SettingsError) throw new UserError(error.message, 2);
    throw error;
  }
  return text;
}
