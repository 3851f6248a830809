import { existsSync } from "node:fs";
import type { AnyAuthMethod, ParsedKey } from "ssh2";
import { DialFailed } from "../errors.ts";
import { fingerprint } from "./hostkey.ts";
import { parsePrivateKey } from "./privateKey.ts";
import { address, type Endpoint } from "./settings.ts";

/** One way to log in, and its name for messages. */
export interface Method {
  name: string;
  auth: AnyAuthMethod;
  /** Why it was given up, where the server asked for what nothing here can answer. */
  refusal?: () => string | undefined;
}

/**
 * The ways to log in that the settings give, in the order of trying: key, password, keyboard-interactive, agent.
 * Throws DialFailed "settings" for a key that can't be read and for an agent that was named and is not there.
 */
export function loginMethods(endpoint: Endpoint): Method[] {
  const { user: username, password } = endpoint;
  const methods: Method[] = [];
  if (endpoint.privateKey !== undefined) {
    const key = readKey(endpoint, endpoint.privateKey);
    methods.push({
      name: `publickey (${key.type} ${fingerprint(key.getPublicSSH())})`,
      auth: { type: "publickey", username, key },
    });
  }
  if (password !== undefined) {
    methods.push({ name: "password", auth: { type: "password", username, password } });
    methods.push(keyboardInteractive(username, password));
  }
  const agent = agentSocket(endpoint, methods.length > 0);
  if (agent !== undefined) methods.push({ name: "agent", auth: { type: "agent", username, agent } });
  if (methods.length === 0) methods.push({ name: "none", auth: { type: "none", username } });
  return methods;
}

/** What is asked for besides the password: a code, a new password, whatever is typed in clear. */
const NOT_THE_PASSWORD =
  /code|token|\botp\b|one.?time|verif|\bpin\b|factor|response|\bnew\b|again|retype|confirm|expired|验证|动态|新密码/i;

/** Gives the password to who asks for it, once; any other question ends the method, with the question in the error. */
function keyboardInteractive(username: string, password: string): Method {
  let answered = false;
  let refused: string | undefined;
  return {
    name: "keyboard-interactive",
    auth: {
      type: "keyboard-interactive",
      username,
      prompt: (_name, instructions, _language, prompts, finish) => {
        // Only something to read, such as a greeting.
        if (prompts.length === 0) return finish([]);
        const questions = prompts.map(({ prompt }) => prompt.trim());
        const isPassword =
          prompts.length === 1 &&
          prompts[0]?.echo !== true &&
          !NOT_THE_PASSWORD.test(`${instructions} ${questions[0]}`);
        if (isPassword && !answered) {
          answered = true;
          return finish([password]);
        }
        if (!isPassword) refused = questions.map((question) => JSON.stringify(question)).join(", ");
        finish([]);
      },
    },
    refusal: () =>
      refused &&
      `The server asks ${refused}, which no setting here can answer: log in by a key, or let this user in without the question.`,
  };
}

function readKey(endpoint: Endpoint, text: string): ParsedKey {
  const key = parsePrivateKey(text, endpoint.privateKeyPassword);
  if (!(key instanceof Error) && key.isPrivateKey()) return key;
  // The parser's own words stay out: they may quote the key.
  const why = !(key instanceof Error)
    ? "it is a public key"
    : /passphrase|encrypted|decrypt|bad.*integrity|integrity check/i.test(key.message)
      ? endpoint.privateKeyPassword === undefined
        ? "it is encrypted; set connection.privateKeyPassword"
        : "connection.privateKeyPassword does not open it"
      : "expected the whole text of an OpenSSH or PEM private key";
  throw new DialFailed("settings", `cannot read connection.privateKey for ${address(endpoint)}: ${why}`);
}

function agentSocket(endpoint: Endpoint, hasOther: boolean): string | undefined {
  const named = endpoint.agentSocketPath;
  const path = named ?? process.env.SSH_AUTH_SOCK;
  if (path === undefined || path === "") return undefined;
  if (process.platform === "win32" || existsSync(path)) return path;
  // A stale SSH_AUTH_SOCK is common, and harmless where something else can log in.
  if (named === undefined && hasOther) return undefined;
  const source = named === undefined ? "SSH_AUTH_SOCK" : "connection.agentSocketPath";
  throw new DialFailed(
    "settings",
    `no SSH agent for ${address(endpoint)}: ${source} names ${path}, which does not exist`,
  );
}
