import { z } from "zod";
import { absolutePath, port, url, word } from "./words.ts";

const sshHost = z.strictObject({
  kind: z.literal("ssh"),
  /** Name or address of the box, as in `ssh root@address -p port`. */
  address: z.string().regex(/^[\w.:-]+$/, "a host name or address"),
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
  agent: z.boolean().optional(),
  /** As in known_hosts: `ssh-ed25519 AAAA…`. Without it, the key pinned by `atelier trust`. */
  hostKey: z
    .string()
    .regex(/^[\w@.-]+ [A-Za-z0-9+/=]+$/, "a public key as `ssh-ed25519 AAAA…`")
    .optional(),
  workspace: absolutePath.default("/root/atelier"),
  cache: absolutePath.optional(),
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

export const hostSchema = z.discriminatedUnion("kind", [
  sshHost.extend(anyHost).refine((host) => loginWays.filter((way) => host[way]).length === 1, {
    error: `exactly one of ${loginWays.join(", ")}`,
    // Also when another key is wrong: all mistakes are shown at once.
    when: ({ value }) => typeof value === "object" && value !== null,
  }),
  localHost.extend(anyHost),
]);

export type HostSettings = z.infer<typeof hostSchema>;
export type SshHostSettings = Extract<HostSettings, { kind: "ssh" }>;
