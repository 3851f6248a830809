import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { readSettings } from "../../../engine/src/providers/docker/client/settings.ts";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { IMAGE, startDocker, type TestDocker } from "../../helpers/docker.ts";
import { CONTAINER, harness, type Made } from "./harness.ts";

const dir = mkdtempSync(join(tmpdir(), "docker-tls-"));
const path = (name: string) => join(dir, name);
const text = (name: string) => readFileSync(path(name), "utf8");
const port = await freePort();
const host = `tcp://127.0.0.1:${port}`;
const noOpenssl = spawnSync("openssl", ["version"]).error === undefined ? undefined : "no openssl on this machine";
if (noOpenssl === undefined) certificates();
const started = noOpenssl
  ? { missing: noOpenssl }
  : await startDocker({
      args: [
        ...["-H", host, "--tlsverify", "--tlscacert", path("ca.pem")],
        ...["--tlscert", path("server.pem"), "--tlskey", path("server.key")],
      ],
    });
const missing = started.missing;
const it = started.test as TestDocker;
afterAll(async () => {
  await it?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Two authorities, the engine's certificate, and clients': a good one, an expired one, one of the other authority. */
function certificates(): void {
  const openssl = (...words: string[]) => execFileSync("openssl", words, { cwd: dir, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"];
  for (const ca of ["ca", "other"])
    openssl("req", "-x509", ...key, `${ca}.key`, "-out", `${ca}.pem`, "-days", "1", "-subj", `/CN=${ca}`);
  // Newer ones end nothing before its beginning, and take the beginning too.
  const { stderr } = spawnSync("openssl", ["x509", "-help"], { encoding: "utf8" });
  const past = stderr.includes("-not_before")
    ? ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"]
    : ["-days", "-1"];
  const today = ["-days", "1"];
  for (const [name, use, ca, when] of [
    ["server", "serverAuth", "ca", today],
    ["client", "clientAuth", "ca", today],
    ["expired", "clientAuth", "ca", past],
    ["stranger", "clientAuth", "other", today],
  ] as const) {
    writeFileSync(path(`${name}.ext`), `subjectAltName=IP:127.0.0.1\nextendedKeyUsage=${use}\n`);
    openssl("req", ...key, `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    const by = ["-CA", `${ca}.pem`, "-CAkey", `${ca}.key`, "-CAcreateserial"];
    const made = [...when, "-extfile", `${name}.ext`, "-out", `${name}.pem`];
    openssl("x509", "-req", "-in", `${name}.csr`, ...by, ...made);
  }
  mkdirSync(path("folder"));
  copyFileSync(path("ca.pem"), path("folder/ca.pem"));
  copyFileSync(path("client.pem"), path("folder/cert.pem"));
  copyFileSync(path("client.key"), path("folder/key.pem"));
}

const material = (ca = "ca", cert = "client", key = cert) => ({
  caMaterial: text(`${ca}.pem`),
  certMaterial: text(`${cert}.pem`),
  keyMaterial: text(`${key}.key`),
});

describe.skipIf(noOpenssl)(`material for TLS${noOpenssl ? ` (skipped: ${noOpenssl})` : ""}`, () => {
  test("what is half given, contradictory, unreadable or no PEM is refused by name", () => {
    const refused = (config: Record<string, string>) => expect(() => readSettings({ host, ...config }, {}));
    const { caMaterial, certMaterial, keyMaterial } = material();
    refused({ certMaterial, keyMaterial }).toThrow(/together; it lacks caMaterial\.$/);
    refused({ caMaterial }).toThrow(/together; it lacks certMaterial and keyMaterial\.$/);
    refused({ ...material(), certPath: "/x" }).toThrow(/either certPath or the material/);
    refused({ certPath: path("none") }).toThrow(/cannot read ca\.pem .*must hold ca\.pem, cert\.pem and key\.pem/);
    refused({ ...material(), caMaterial: path("ca.pem") }).toThrow(/caMaterial is no certificate in PEM/);
    refused({ ...material(), keyMaterial: certMaterial }).toThrow(/keyMaterial is no private key in PEM/);
    refused(material("ca", "client", "stranger")).toThrow(/keyMaterial is not the key of certMaterial/);
    const locked = execFileSync("openssl", ["pkcs8", "-topk8", "-in", path("client.key"), "-passout", "pass:x"]);
    writeFileSync(path("folder/key.pem"), locked);
    refused({ certPath: path("folder") }).toThrow(/folder\/key\.pem has a passphrase/);
    copyFileSync(path("client.key"), path("folder/key.pem"));
  });
});

describe.skipIf(noOpenssl)(`DOCKER_CERT_PATH${noOpenssl ? ` (skipped: ${noOpenssl})` : ""}`, () => {
  const env = { DOCKER_CERT_PATH: path("folder"), DOCKER_TLS_VERIFY: "1", DOCKER_HOST: host };
  test("counts where nothing else is said, and not beside the provider's own material", () => {
    expect(readSettings({}, env).tls?.cert).toBe(text("client.pem"));
    expect(readSettings(material("ca", "expired"), env).tls?.cert).toBe(text("expired.pem"));
  });
  test("is of no matter to a socket, whatever lies there", () => {
    const stale = { ...env, DOCKER_CERT_PATH: path("none") };
    for (const one of ["unix:///var/run/docker.sock", "ssh://root@box"])
      expect(readSettings({ host: one }, stale).tls).toBeUndefined();
    expect(() => readSettings({ host }, stale)).toThrow(/cannot read ca\.pem/);
  });
});

describe.skipIf(missing)(`an engine over TLS${missing ? ` (skipped: ${missing})` : ""}`, () => {
  const BOX = { image: IMAGE, networkMode: "none" };
  let plain: Server;
  beforeAll(async () => {
    plain = createServer((socket) => {
      const there = connect(it.host.replace("unix://", ""));
      socket.on("error", () => there.destroy()).pipe(there);
      there.on("error", () => socket.destroy()).pipe(socket);
    });
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => plain.close());

  test.each([
    [
      "an engine of another authority",
      () => material("other"),
      /: unable to verify the first certificate\. .*not of the authority in caMaterial/,
    ],
    [
      "a client's certificate that expired",
      () => material("ca", "expired"),
      /alert (bad certificate|certificate expired)\. The client's certificate .*expired on .* GMT: have it renewed\.$/,
    ],
    [
      "a client of another authority",
      () => material("ca", "stranger"),
      /alert (bad certificate|unknown ca)\. It seems to refuse the client's certificate: .*--tlscacert/,
    ],
    [
      "another name than the certificate's",
      () => ({ ...material(), host: `tcp://localhost:${port}` }),
      /altnames.* Name the engine in the provider's host as its certificate does/,
    ],
    [
      "no certificate at all",
      () => ({}),
      /answered 400: .*HTTPS server\. It speaks TLS on this port: set the provider's certPath/,
    ],
    [
      "https:// without a certificate",
      () => ({ host: host.replace("tcp", "https") }),
      /unable to verify the first certificate\. Set the provider's certPath/,
    ],
    [
      "a port without TLS",
      () => ({ ...material(), host: `tcp://127.0.0.1:${(plain.address() as AddressInfo).port}` }),
      /: wrong version number\. It speaks no TLS on this port/,
    ],
  ])("%s is one plain sentence with its mend", async (_, config, says) => {
    const { create, provider } = await harness({ host, ...config() });
    const error = await create(CONTAINER, { ...BOX, name: "never" }).catch((thrown: Error) => thrown.message);
    await provider.close();
    expect(error).toMatch(/^cannot look at the image local\/box:1: [^\n]*$/);
    expect(error).toMatch(says);
    expect(error).not.toMatch(/openssl|:error:|--use-system-ca/);
  });

  test.each([
    ["material", () => ({ host, ...material() }), {}],
    ["a folder", () => ({ host, certPath: path("folder") }), {}],
    // As with the official plugin, and other than Docker's command, DOCKER_TLS_VERIFY decides nothing.
    ["variables", () => ({}), { DOCKER_HOST: host, DOCKER_CERT_PATH: path("folder"), DOCKER_TLS_VERIFY: "" }],
  ])("by %s, a container is made, heard, found as it is, missed and removed", async (_, config, env) => {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    const { create, read, delete: remove, provider } = await harness(config());
    try {
      const said = await create(CONTAINER, {
        ...BOX,
        command: ["/bin/echo", "hello"],
        attach: true,
        logs: true,
        mustRun: false,
      });
      expect(said.outputs.containerLogs).toContain("hello");
      const made = await create(CONTAINER, { ...BOX, name: "over-there" });
      expect((await it.docker.getContainer(made.id).inspect()).State.Running).toBe(true);
      expect(((await read(made)) as Made).outputs).toEqual(made.outputs);
      await it.docker.getContainer(said.id).remove({ force: true });
      expect(await read(said)).toBeUndefined();
      await remove(made);
      expect(await it.docker.listContainers({ all: true })).toEqual([]);
    } finally {
      vi.unstubAllEnvs();
      await provider.close();
    }
  });
});
