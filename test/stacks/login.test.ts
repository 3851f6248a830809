import { execFileSync } from "node:child_process";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { readLogin } from "../../stacks/login.ts";
import type { SshHostSettings } from "../../stacks/schema/host.ts";

let dir: string;
const file = (name: string) => join(dir, name);
const make = (name: string, ...more: string[]) =>
  execFileSync("ssh-keygen", ["-q", "-f", file(name), "-C", "", ...more], { stdio: "ignore" });

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "atelier-login-"));
  make("plain", "-t", "ed25519", "-N", "");
  make("locked", "-t", "ed25519", "-a", "1", "-N", "right");
  make("pem", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "right");
  make("pkcs8", "-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", "");
  make("pkcs8locked", "-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", "right");
  writeFileSync(file("cut"), readFileSync(file("pkcs8"), "utf8").slice(0, 200));
  writeFileSync(file("words"), "not a key but s3cret\n");
  writeFileSync(file("crlf"), readFileSync(file("plain"), "utf8").replaceAll("\n", "\r\n"));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true, force: true });
});

function mistakes(host: Partial<SshHostSettings>, env: Record<string, string | undefined> = {}): string[] {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const found: string[] = [];
  readLogin({ kind: "ssh", ...host } as SshHostSettings, found);
  return found;
}

it.each(["plain", "crlf", "pkcs8"])("a key that can be used is no mistake (%s)", (name) => {
  expect(mistakes({ keyFile: file(name) })).toEqual([]);
});

it("an empty password file is named", () => {
  writeFileSync(file("empty"), "\n");
  expect(mistakes({ passwordFile: file("empty") })).toEqual([`atelier:host.passwordFile: ${file("empty")} is empty`]);
});

it("a file that an editor of Windows wrote is read without its mark and its line end", () => {
  writeFileSync(file("bom-password"), "\ufeffcorrect horse\r\n");
  writeFileSync(file("bom-key"), `\ufeff${readFileSync(file("crlf"), "utf8")}`);
  const found: string[] = [];
  const read = (host: object) => readLogin({ kind: "ssh", ...host } as SshHostSettings, found);
  expect(read({ passwordFile: file("bom-password") }).password).toBe("correct horse");
  expect(read({ keyFile: file("bom-key") }).privateKey).toBe(readFileSync(file("crlf"), "utf8"));
  expect(found).toEqual([]);
});

it.each([
  ["rsa", {}, "RSA"],
  ["ec", { namedCurve: "P-256" }, "EC"],
] as const)(
  "an %s key of PKCS#8 is handed on in a form that SSH's clients here read, opened",
  (type, options, form) => {
    const { privateKey } = generateKeyPairSync(type as "rsa", { modulusLength: 2048, ...options });
    const pem = (locks: object) => privateKey.export({ type: "pkcs8", format: "pem", ...locks }).toString();
    for (const [key, keyPassphrase] of [
      [pem({}), undefined],
      [pem({ cipher: "aes-256-cbc", passphrase: "right" }), "right"],
    ] as const) {
      const found: string[] = [];
      const login = readLogin({ kind: "ssh", key, ...(keyPassphrase && { keyPassphrase }) } as SshHostSettings, found);
      expect(found).toEqual([]);
      expect(login.privateKey).toMatch(new RegExp(`^-----BEGIN ${form} PRIVATE KEY-----`));
      expect(login.privateKeyPassword).toBeUndefined();
      expect(createPrivateKey(login.privateKey ?? "").export({ type: "pkcs8", format: "pem" })).toBe(pem({}));
    }
  },
);

it.each(["locked", "pem", "pkcs8locked"])(
  "an encrypted key (%s) wants its passphrase, by the settings that there are",
  (name) => {
    expect(mistakes({ keyFile: file(name) })).toEqual([
      expect.stringMatching(
        /^atelier:host\.keyFile: \S+ is encrypted; .*host\.keyPassphraseEnv.*host\.keyPassphrase.*host\.agent/,
      ),
    ]);
    expect(mistakes({ key: readFileSync(file(name), "utf8") })[0]).toMatch(/^atelier:host\.key: the key is encrypted/);
    expect(mistakes({ keyFile: file(name), keyPassphraseEnv: "PHRASE" }, { PHRASE: "wrong" })).toEqual([
      `atelier:host.keyPassphraseEnv: the passphrase in PHRASE does not open ${file(name)}`,
    ]);
    expect(mistakes({ keyFile: file(name), keyPassphrase: "wrong" })).toEqual([
      `atelier:host.keyPassphrase: it does not open ${file(name)}`,
    ]);
    expect(mistakes({ keyFile: file(name), keyPassphrase: "right" })).toEqual([]);
  },
);

it("a passphrase whose variable is missing is one mistake, not two", () => {
  expect(mistakes({ keyFile: file("locked"), keyPassphraseEnv: "PHRASE" }, { PHRASE: undefined })).toEqual([
    expect.stringContaining("the environment has no PHRASE"),
  ]);
});

it("what is no key, a public one, or of another form is said, and never shown", () => {
  const of = (name: string) => mistakes({ keyFile: file(name) }).join();
  expect(of("words")).toMatch(/words is no private key that can be used \(.+\).*ssh-keygen -p -f \S+words/);
  expect(of("words")).not.toContain("s3cret");
  expect(of("cut")).toMatch(/cut is no private key that can be used/);
  expect(of("plain.pub")).toMatch(/plain\.pub is the public half/);
});

it("an agent is one that can be asked", async () => {
  expect(mistakes({ agent: true }, { SSH_AUTH_SOCK: undefined })).toEqual([
    expect.stringMatching(/^atelier:host\.agent: the environment has no SSH_AUTH_SOCK/),
  ]);
  const socket = file("agent.sock");
  expect(mistakes({ agent: true }, { SSH_AUTH_SOCK: socket })).toEqual([
    `atelier:host.agent: SSH_AUTH_SOCK names ${socket}, and no agent is there; start one (ssh-agent), or use another way to log in`,
  ]);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  expect(mistakes({ agent: true }, { SSH_AUTH_SOCK: socket })).toEqual([]);
  server.close();
});
