import { z } from "zod";
import { absolutePath, agent, port, word } from "./words.ts";

/** Where containers are made: a socket of this machine, or a host over SSH or TCP. */
export const dockerEngine = z
  .string()
  .regex(/^(unix:\/\/\/|ssh:\/\/|tcp:\/\/)\S+$/, "unix:///path, ssh://user@host:port or tcp://host:port");

/** An image's name, with a registry, a tag or a digest where it has them. */
const image = z.string().regex(/^[a-z0-9][\w./:@-]*$/, "an image such as nvidia/cuda:12.1.1-runtime-ubuntu22.04");

/** The box is a container of a Docker engine. */
export const dockerHost = z.strictObject({
  kind: z.literal("docker"),
  docker: z
    .strictObject({
      host: dockerEngine.default("unix:///var/run/docker.sock"),
      /** Folder with ca.pem, cert.pem and key.pem, for tcp:// with TLS. */
      certPath: absolutePath.optional(),
    })
    .prefault({}),
  /** A ready image in place of the one that is built from images/cuda, such as one of images/webui. */
  image: image.optional(),
  /** What images/cuda is built on. @default NVIDIA's CUDA 12.1 on Ubuntu 22.04, from the first Docker upstream */
  base: image.optional(),
  /** Which of the Docker host's GPUs; none with `gpu: none`. */
  gpus: z.union([z.literal("all"), z.array(z.union([z.number().int().min(0), word])).min(1)]).default("all"),
  /** `bridge`: ports are published. `host`: the container has the Docker host's own network. */
  network: z.enum(["bridge", "host"]).default("bridge"),
  /** Where the container's SSH server is on the Docker host: on its loopback, but for tcp://. */
  sshPort: port.default(2222),
  /** Holds workspace and cache, and outlives the container: a volume's name, or a folder of the Docker host. @default atelier-<stack> */
  volume: z.union([absolutePath, z.string().regex(/^[a-zA-Z0-9][\w.-]+$/, "a volume's name")]).optional(),
  /** How the Docker host itself lets in, where docker.host is ssh://: one of key (a secret), keyFile, agent. */
  key: z.string().includes("PRIVATE KEY", { error: "the text of a private key" }).optional(),
  keyFile: z.string().min(1).optional(),
  keyPassphrase: z.string().min(1).optional(),
  keyPassphraseEnv: word.optional(),
  agent,
  /** The Docker host's own key, as in known_hosts. Without it, the key pinned by `atelier trust`. */
  hostKey: z
    .string()
    .regex(/^[\w@.-]+ [A-Za-z0-9+/=]+$/, "a public key as `ssh-ed25519 AAAA…`")
    .optional(),
});

const ways = ["key", "keyFile", "agent"] as const;
const overSsh = ({ docker }: z.infer<typeof dockerHost>) => docker?.host?.startsWith("ssh://") === true;
const logins = (host: object) => ways.filter((way) => (host as Record<string, unknown>)[way] !== undefined).length;

/** What the keys mean together; each is told with its own. */
export const dockerMistakes: { error: string; path?: string[]; fits: (host: z.infer<typeof dockerHost>) => boolean }[] =
  [
    { error: "at most one of image, base", fits: (host) => host.image === undefined || host.base === undefined },
    {
      error: `with docker.host ssh://, exactly one of ${ways.join(", ")}`,
      fits: (host) => !overSsh(host) || logins(host) === 1,
    },
    {
      error: `${ways.join(", ")} and hostKey are the Docker host's, for docker.host ssh:// alone`,
      fits: (host) => overSsh(host) || (logins(host) === 0 && host.hostKey === undefined),
    },
    {
      error: "an address with its user, such as ssh://root@gpu.example.com",
      path: ["docker", "host"],
      fits: (host) => !overSsh(host) || /^ssh:\/\/[^@/]+@/.test(host.docker.host),
    },
    {
      error: "certPath is for docker.host tcp:// alone",
      path: ["docker", "certPath"],
      fits: ({ docker }) => docker?.certPath === undefined || docker.host.startsWith("tcp://"),
    },
    {
      error: "a Docker engine behind tcp:// without TLS gives root to anyone who reaches it: set docker.certPath",
      path: ["docker", "host"],
      fits: ({ docker }) =>
        !docker?.host?.startsWith("tcp://") ||
        docker.certPath !== undefined ||
        /^tcp:\/\/(localhost|127\.)/.test(docker.host),
    },
  ];
