import { createHash } from "node:crypto";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";
import { plainTls } from "../client/tls.ts";
import { tokenUrl } from "./challenge.ts";
import type { Login } from "./logins.ts";
import { DOCKER_HUB, parseImage } from "./reference.ts";

const ANSWER_MS = 30_000;
/** A manifest is a few kilobytes. */
const LARGEST_BODY = 8 * 1024 * 1024;
const MANIFESTS = [
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
].join(", ");

export interface DigestOptions {
  logins: Login[];
  /** True: the registry's certificate is not verified. */
  insecure: boolean;
  signal: AbortSignal;
  /** Where the registry answers, when its name does not say it: `http://127.0.0.1:5000`. */
  base?: string | undefined;
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** The digest that a name stands for in its registry now, `sha256:…`. @throws naming registry and answer */
export async function registryDigest(name: string, options: DigestOptions): Promise<string> {
  const { registry, repository, tag, digest } = parseImage(name);
  const login = options.logins.find((one) => one.registry === registry);
  const base =
    options.base ??
    (registry === DOCKER_HUB ? "https://registry-1.docker.io" : new URL(login?.url ?? `https://${registry}`).origin);
  const url = `${base}/v2/${repository}/manifests/${digest || tag}`;
  const what = `ask ${base} for the digest of ${name}`;
  const basic = login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString("base64")}`;
  let headers: Record<string, string> = { accept: MANIFESTS, ...(basic && { authorization: basic }) };
  let answer = await send("HEAD", url, headers, what, options);
  if (answer.status === 401) {
    const token = await bearer(String(answer.headers["www-authenticate"] ?? ""), basic, repository, what, options);
    headers = { accept: MANIFESTS, authorization: `Bearer ${token}` };
    answer = await send("HEAD", url, headers, what, options);
  }
  const header = answer.headers["docker-content-digest"];
  if (answer.status === 200 && typeof header === "string") return header;
  if (answer.status === 200) {
    answer = await send("GET", url, headers, what, options);
    if (answer.status === 200 && answer.body.length > 0)
      return `sha256:${createHash("sha256").update(answer.body).digest("hex")}`;
  }
  throw new Error(`cannot ${what}: it answered ${answer.status}. ${advice(answer.status)}`);
}

const noAnswer = (code: string): string =>
  /SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_SIGNATURE/.test(code)
    ? "Where an authority of your own signed its certificate, name that one's: NODE_EXTRA_CA_CERTS=ca.pem."
    : "Check the registry's address, and that it is reachable from here.";

function advice(status: number): string {
  if (status === 404) return "Check the image's name and tag.";
  if (status === 401 || status === 403)
    return "Give the provider a registryAuth with username and password for this registry.";
  return "Try again later.";
}

async function bearer(
  challenge: string,
  basic: string | undefined,
  repository: string,
  what: string,
  options: DigestOptions,
): Promise<string> {
  const realm = tokenUrl(challenge, repository);
  if (realm === undefined) {
    throw new Error(
      `cannot ${what}: it answered 401. ${basic === undefined ? advice(401) : "It does not take the login that the provider's registryAuth has."}`,
    );
  }
  // A login must not cross an open line, unless it is this machine's own.
  const isPlain = realm.protocol === "http:" && !/^(127\.|localhost$|\[::1\]$)/.test(realm.hostname);
  if (basic !== undefined && isPlain)
    throw new Error(`cannot ${what}: it sends the login to ${realm.origin}, which is not encrypted`);
  const answer = await send(
    "GET",
    realm.href,
    { accept: "application/json", ...(basic && { authorization: basic }) },
    what,
    options,
  );
  if (answer.status !== 200)
    throw new Error(
      `cannot ${what}: ${realm.origin} gave no token, it answered ${answer.status}. ${advice(answer.status)}`,
    );
  const { token, access_token } = JSON.parse(answer.body.toString()) as { token?: string; access_token?: string };
  const given = token || access_token;
  if (!given) throw new Error(`cannot ${what}: ${realm.origin} answered without a token.`);
  return given;
}

/** Node's own client: what verifies certificates differs from call to call. */
function send(
  method: string,
  url: string,
  headers: Record<string, string>,
  what: string,
  { insecure, signal }: DigestOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = ({ message, code = "" }: NodeJS.ErrnoException) =>
      reject(new Error(`cannot ${what}: ${plainTls(message || code)}. ${noAnswer(code)}`));
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const options = { method, headers, signal: limit };
    const done = url.startsWith("https:")
      ? httpsRequest(url, { ...options, rejectUnauthorized: !insecure })
      : httpRequest(url, options);
    done.on("error", fail);
    done.on("response", (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > LARGEST_BODY) done.destroy(new Error("its answer is far too long"));
        else chunks.push(chunk);
      });
      response.on("error", fail);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    done.end();
  });
}
