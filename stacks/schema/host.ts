import { z } from "zod";
import { platformNames } from "../platforms/table.ts";
import { dockerHost, dockerMistakes } from "./docker.ts";
import { absolutePath, agent, hostAddress, ownFolder, port, url, word } from "./words.ts";

/** A shell line, or a program and its arguments. */
const commandLine = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);
const sshHost = z.strictObject({
  kind: z.literal("ssh"),
  /** Name or address of the box, as in `ssh root@address -p port`. */
  address: hostAddress.optional(),
  /** In place of `address`: commands on the control machine that rent a box, and end the rental. */
  rent: z
    .strictObject({
      /** Prints `{host, port, user, hostKey}` as JSON; `password`, `privateKey` and `publicUrl` where it knows them. */
      create: commandLine,
      /** Reads on standard input what `create` printed. */
      destroy: commandLine,
      /** Seconds from the end of `create` until the box's SSH server answers. */
      timeout: z.number().int().min(1).max(3600).default(600),
    })
    .optional(),
  /** Which rental it is: what it proposes is shown by `up`, and every setting overrides it. `plain` proposes nothing. */
  platform: z.enum(["auto", "plain", ...platformNames]).default("auto"),
  /** What reaches GitHub and Hugging Face faster: a script on the host that sets proxies, or a proxy. @default the platform's */
  accelerator: z.union([absolutePath, url, z.literal("none")]).optional(),
  /** A script on the host that the platform runs at its start: the WebUI comes back by it. @default the platform's */
  startHook: z.union([absolutePath, z.literal("none")]).optional(),
  port: port.default(22),
  user: word.default("root"),
  /** One of: password (a secret), passwordFile, passwordEnv, key (a secret), keyFile, agent. */
  password: z.string().min(1).optional(),
  passwordFile: z.string().min(1).optional(),
  passwordEnv: word.optional(),
  key: z.string().includes("PRIVATE KEY", { error: "the text of a private key" }).optional(),
  keyFile: z.string().min(1).optional(),
  keyPassphrase: z.string().min(1).optional(),
  keyPassphraseEnv: word.optional(),
  agent,
  /** As in known_hosts: `ssh-ed25519 AAAA…`. Without it, the key pinned by `atelier trust`. */
  hostKey: z
    .string()
    .regex(/^[\w@.-]+ [A-Za-z0-9+/=]+$/, "a public key as `ssh-ed25519 AAAA…`")
    .optional(),
  workspace: ownFolder.default("/root/atelier"),
  cache: ownFolder.optional(),
});
const loginWays = ["password", "passwordFile", "passwordEnv", "key", "keyFile", "agent"] as const;
const localHost = z.strictObject({
  /** This machine, by an SSH server of its own in `.atelier/<stack>/host`. */
  kind: z.literal("local"),
});
const anyHost = {
  gpu: z.enum(["required", "none"]).default("required"),
  /** Accepted Python versions, best first. `any` is 3.10 and newer. */
  python: z
    .array(z.enum(["3.10", "3.11", "any"]))
    .min(1)
    .default(["3.10", "3.11"]),
  /** Whether missing system packages may be installed with apt (as root). */
  packages: z.enum(["install", "refuse"]).default("install"),
  proxy: url.optional(),
  serviceManager: z.enum(["auto", "systemd", "supervisor"]).default("auto"),
};

// Also when another key is wrong: all mistakes are shown at once.
const when = ({ value }: { value: unknown }) => typeof value === "object" && value !== null;
const logins = (host: object) => loginWays.filter((way) => (host as Record<string, unknown>)[way] !== undefined).length;

export const hostSchema = z.discriminatedUnion("kind", [
  sshHost
    .extend(anyHost)
    .refine((host) => (host.address === undefined) !== (host.rent === undefined), {
      error: "exactly one of address, rent",
      when,
    })
    // What is rented may bring its own login.
    .refine((host) => (host.rent ? logins(host) <= 1 : logins(host) === 1), {
      error: `exactly one of ${loginWays.join(", ")}`,
      when,
    }),
  localHost.extend(anyHost),
  dockerMistakes.reduce(
    (schema, { error, path, fits }) => schema.refine(fits, { error, when, ...(path && { path }) }),
    dockerHost.extend(anyHost),
  ),
]);

export type HostSettings = z.infer<typeof hostSchema>;
export type DockerHostSettings = Extract<HostSettings, { kind: "docker" }>;
export type SshHostSettings = Extract<HostSettings, { kind: "ssh" }>;
