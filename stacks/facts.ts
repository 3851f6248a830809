import * as pulumi from "@pulumi/pulumi";
import type { Client, ClientChannel, ConnectConfig } from "ssh2";
import { DynamicResource } from "./dynamic.ts";
import type { Host, Jump } from "./settings.ts";

interface FactsInputs {
  /** `stack`: for what to do next. */
  host: pulumi.Unwrap<Host> & { stack: string };
  /** Every step whose check is asked for, in order. */
  steps: string[];
  /** Tells this stack's state from that of another clone. */
  state?: string;
}
interface FactsOutputs {
  tokens: Record<string, string>;
  workspaceId: string;
  /** As it was at the last update. */
  state?: string;
}

/**
 * A connection to the host, through its jump where it has one; `end` closes both.
 * All of this lives in the state as text: it may use nothing of this module but the functions that the class below lists.
 */
async function dial(host: FactsInputs["host"]): Promise<{ client: Client; end: () => void }> {
  const { Client, utils } = (await import("ssh2")).default;
  const connect = (to: Jump | FactsInputs["host"], more: ConnectConfig) =>
    new Promise<Client>((resolve, reject) => {
      const where = `${to.user}@${to.address}:${to.port}`;
      const client = new Client();
      let offered = "";
      client.on("error", (error) => {
        const why = offered
          ? `the host key of ${where} is not the pinned one (offered ${offered}); if the box is a new one: npx atelier trust --replace --stack ${host.stack}`
          : `${where} can't be reached (${error.message}); is the box running, and are address, port and login still right? If it is gone: npx atelier down --host-gone --stack ${host.stack}`;
        reject(new Error(`host-facts: ${why}`));
      });
      // Else each small packet waits up to 40 ms for the one before to be acknowledged.
      client.on("connect", () => client.setNoDelay(true));
      // Some servers take a password as the answer to a question alone.
      const { password } = more;
      client.on("keyboard-interactive", (_name, _instructions, _language, prompts, answer) =>
        answer(prompts.length === 1 && /pass|密码/i.test(prompts[0]?.prompt ?? "") ? [password ?? ""] : []),
      );
      client.on("ready", () => resolve(client));
      client.on("close", () => reject(new Error(`host-facts: ${where} closed the connection before the login`)));
      client.connect({
        host: to.address,
        port: to.port,
        username: to.user,
        privateKey: to.privateKey,
        passphrase: to.privateKeyPassword,
        agent: to.agent ? process.env.SSH_AUTH_SOCK : undefined,
        tryKeyboard: password !== undefined,
        // Whoever rents knows of a box that is gone: no longer than it takes a busy one to answer.
        readyTimeout: 30_000,
        hostVerifier: (key: Buffer) => {
          const parsed = utils.parseKey(key);
          const key64 = parsed instanceof Error ? key.toString("base64") : parsed.getPublicSSH().toString("base64");
          if (key64 === to.hostKey.split(" ")[1]) return true;
          offered = key64.slice(0, 24);
          return false;
        },
        ...more,
      });
    });
  const { jump } = host;
  const between = jump ? await connect(jump, {}) : undefined;
  try {
    const sock =
      between &&
      (await new Promise<ClientChannel>((resolve, reject) => {
        between.forwardOut("127.0.0.1", 0, host.address, host.port, (error, channel) =>
          error
            ? reject(
                new Error(`host-facts: ${jump?.address} reaches no ${host.address}:${host.port} (${error.message})`),
              )
            : resolve(channel),
        );
      }));
    const client = await connect(host, { password: host.password, ...(sock && { sock }) });
    const end = () => {
      client.end();
      between?.end();
    };
    return { client, end };
  } catch (error) {
    between?.end();
    throw error;
  }
}

/** Dials; a host that was made a moment ago may want its time until it answers. */
async function dialPatiently(host: FactsInputs["host"]): ReturnType<typeof dial> {
  const until = Date.now() + 1000 * (host.patience ?? 0);
  for (;;) {
    try {
      return await dial(host);
    } catch (error) {
      const young = /ECONNREFUSED|ECONNRESET|refused|before handshake|before the login|reaches no/i;
      if (Date.now() >= until || !young.test((error as Error).message)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

/** Runs a command on the host over one connection of its own. */
async function runOnHost(
  host: FactsInputs["host"],
  command: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const where = `${host.user}@${host.address}:${host.port}`;
  const { client, end } = await dialPatiently(host);
  return new Promise((resolve, reject) => {
    const fail = (what: string) => {
      end();
      reject(new Error(`host-facts: ${what}`));
    };
    const deadline = setTimeout(() => fail(`${where} did not finish its checks within 3 minutes`), 180_000);
    const lost = (why: string) => {
      clearTimeout(deadline);
      fail(`the connection to ${where} was lost (${why})`);
    };
    client.on("error", (error) => lost(error.message));
    client.on("close", () => lost("it was closed"));
    client.exec(command, (error, channel) => {
      if (error) return fail(`${where} refused a command (${error.message})`);
      let stdout = "";
      let stderr = "";
      channel.on("data", (data: Buffer) => {
        stdout += data;
      });
      channel.stderr.on("data", (data: Buffer) => {
        stderr += data;
      });
      channel.on("close", (code: number | undefined) => {
        clearTimeout(deadline);
        end();
        resolve({ code: code ?? -1, stdout, stderr });
      });
      channel.end();
    });
  });
}

/** Which steps are not in place on the host, and why. `before`: of the password that this state had last. */
async function drift(
  { host, steps, state }: FactsInputs,
  before: string | undefined,
): Promise<{ drifted: Record<string, string>; workspaceId: string }> {
  const script = `${host.workspace}/bin/check-all.sh`;
  // Plain words for any login shell; a missing script is an answer, not an error, but not where this login may not look.
  // One that was cut may end with an error each time, before it says so of itself: its sum is looked at first.
  const look =
    'b=$(dirname "$0"); test -f "$0" -a -f "$b/.laid" && cd "$b" && { grep " check-all.sh$" .laid | sha256sum -c >/dev/null 2>&1 || exit 46; }; test -f "$0" && exec sh "$0"; d=$0; until test -d "$d"; do d=$(dirname "$d"); done; test -x "$d" && exit 44; echo "$d"; exit 45';
  const { code, stdout, stderr } = await runOnHost(host, `sh -c '${look}' '${script}'`);
  if (code === 45)
    throw new Error(
      `host-facts: ${host.user} may not enter ${stdout.trim().split("\n").at(-1)} on ${host.address}, where the workspace ${host.workspace} would be. Set host.user to the login that it belongs to, or host.workspace to a folder of this one`,
    );
  const nothing = new Map([
    [44, "the workspace is not there"],
    [46, "bin/check-all.sh, which looks at it, was cut or changed"],
  ]).get(code);
  if (nothing) return { drifted: Object.fromEntries(steps.map((step) => [step, nothing])), workspaceId: "" };
  if (code !== 0)
    throw new Error(`host-facts: ${script} on ${host.address} ended with ${code}: ${stderr.trim().slice(-2000)}`);
  const found = new Map<string, { ok: boolean; why?: string }>();
  // What is in place itself, and goes by something that is not.
  const following = new Map<string, string>();
  let workspaceId = "";
  let appliedBy = "";
  for (const line of stdout.split("\n").filter((text) => text.startsWith("{"))) {
    const fact = JSON.parse(line) as {
      step?: string;
      ok?: boolean;
      why?: string;
      also?: string[];
      workspace?: string;
      state?: string;
    };
    if (fact.state) appliedBy = fact.state;
    if (fact.step) found.set(fact.step, { ok: fact.ok === true, why: fact.why });
    for (const step of fact.also ?? []) following.set(step, fact.why ?? "");
    if (fact.workspace) workspaceId = fact.workspace;
  }
  // An unknown value stands as a word of another length.
  const other = state !== undefined && state.length === appliedBy.length && ![state, before].includes(appliedBy);
  const drifted: Record<string, string> = {};
  for (const step of steps) {
    const answer = found.get(step);
    if (other) drifted[step] = "another clone of this stack brought the host up since, with its own password";
    else if (!answer?.ok) drifted[step] = answer?.why ?? "never applied here";
    else if (following.has(step)) drifted[step] = following.get(step) ?? "";
  }
  return { drifted, workspaceId };
}

const provider: pulumi.dynamic.ResourceProvider = {
  async create({ steps, state }: FactsInputs) {
    // Nothing is known of a host before its first apply, and nothing is lost: every step is applied now anyway.
    return {
      id: "host-facts",
      outs: { tokens: Object.fromEntries(steps.map((step) => [step, ""])), workspaceId: "", ...(state && { state }) },
    };
  },
  async diff(_id, olds: FactsOutputs, news: FactsInputs) {
    // A plan that rents a box knows no address yet; an unknown value stands as this word in both engines.
    const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
    if (!news.host.address || Object.values(news.host).includes(unknown)) return { changes: true };
    const { drifted } = await drift(news, olds.state);
    // The engines show what a provider prints: a plan can't say which steps will run, but this can say why.
    for (const [step, why] of Object.entries(drifted)) console.log(`host-facts: ${step} is not in place: ${why}`);
    // Of a password that is about to be made nothing is known: its word is of another length.
    const renewed = olds.state !== undefined && news.state?.length === olds.state.length && news.state !== olds.state;
    const added = news.steps.some((step) => !(step in olds.tokens));
    return { changes: renewed || added || Object.keys(drifted).length > 0 };
  },
  async update(_id, olds: FactsOutputs, news: FactsInputs) {
    const { drifted, workspaceId } = await drift(news, olds.state);
    const tokens = Object.fromEntries(
      news.steps.map((step) => [
        step,
        step in drifted && step in olds.tokens ? globalThis.crypto.randomUUID() : (olds.tokens[step] ?? ""),
      ]),
    );
    return { outs: { tokens, workspaceId, ...(news.state && { state: news.state }) } };
  },
};

/**
 * What is true on the host, against what the state believes. Its `diff` looks at the host itself; a step that is not in place
 * gets a new token, which stands on that step's standard input: so the next `up` applies that step again, and only that.
 */
export class HostFacts extends DynamicResource {
  declare readonly tokens: pulumi.Output<Record<string, string>>;
  declare readonly workspaceId: pulumi.Output<string>;

  constructor(
    name: string,
    args: { host: Host; steps: string[]; state?: pulumi.Input<string> },
    opts: pulumi.CustomResourceOptions = {},
  ) {
    const { password, privateKey, privateKeyPassword, jump } = args.host;
    const secret = (value: pulumi.Input<string> | undefined) =>
      value === undefined ? undefined : pulumi.secret(value);
    const host = {
      ...args.host,
      stack: pulumi.getStack(),
      password: secret(password),
      privateKey: secret(privateKey),
      privateKeyPassword: secret(privateKeyPassword),
      ...(jump && {
        jump: {
          ...jump,
          privateKey: secret(jump.privateKey),
          privateKeyPassword: secret(jump.privateKeyPassword),
        },
      }),
    };
    super(
      { provider, uses: [dial, dialPatiently, runOnHost, drift] },
      name,
      { host, steps: args.steps, ...(args.state && { state: args.state }), tokens: undefined, workspaceId: undefined },
      opts,
    );
  }
}
