import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, test } from "vitest";
import { readSettings } from "../../../engine/src/providers/docker/client/settings.ts";
import { sshArguments } from "../../../engine/src/providers/docker/client/ssh.ts";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { IMAGE, startDocker, type TestDocker } from "../../helpers/docker.ts";
import { noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { until } from "../../helpers/until.ts";
import { CONTAINER, harness, NETWORK } from "./harness.ts";

const dir = mkdtempSync(join(tmpdir(), "docker-connection-"));
const { test: made, missing } = await startDocker();
const it = made as TestDocker;
afterAll(async () => {
  await it?.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function makesNetwork(config: Record<string, string>): Promise<void> {
  const { create, delete: remove, provider } = await harness(config, dir);
  try {
    const net = await create(NETWORK, { name: "over-there" });
    expect((await it.docker.getNetwork(net.id).inspect()).Name).toBe("over-there");
    await remove(net);
  } finally {
    await provider.close();
  }
}

describe("the settings of a provider", () => {
  test("what is unknown or half given is refused by name", () => {
    expect(() => readSettings({ hosts: "x" }, {})).toThrow(/has no input hosts; it has caMaterial, .*sshOpts/);
    expect(() => readSettings({ sshOpts: "-v" }, {})).toThrow(/sshOpts must be JSON/);
    expect(() => readSettings({ registryAuth: '[{"address":"ghcr.io","user":"a"}]' }, {})).toThrow(
      /registryAuth\[0\] has no user; it has/,
    );
    expect(() =>
      readSettings({ registryAuth: '[{"address":"ghcr.io","username":"a","password":"p4ssword"}, {}]' }, {}),
    ).toThrow(/^(?!.*p4ssword).*registryAuth\[1\] needs an address/);
    expect(() => readSettings({ registryAuth: '[{"address":"ghcr.io","configFileContent":"{}"}]' }, {})).toThrow(
      /no username and password for ghcr.io/,
    );
  });

  test("the variables of Docker's command line count where the provider is silent", () => {
    expect(readSettings({}, { DOCKER_HOST: "tcp://10.0.0.1:2375", DOCKER_SSH_OPTS: "-i  key" })).toMatchObject({
      host: "tcp://10.0.0.1:2375",
      sshOpts: ["-i", "key"],
    });
    expect(readSettings({ host: "unix:///x" }, { DOCKER_HOST: "tcp://10.0.0.1:2375" }).host).toBe("unix:///x");
    const meta = join(homedir(), ".docker", "contexts", "meta");
    expect(() => readSettings({ context: "no-such-context" }, {})).toThrow(
      `There is no Docker context "no-such-context" in ${meta}`,
    );
    const auth = Buffer.from("ann:a:b").toString("base64");
    const content = JSON.stringify({ auths: { "https://index.docker.io/v1/": { auth } } });
    const registryAuth = JSON.stringify([{ address: "docker.io", configFileContent: content }]);
    expect(readSettings({ registryAuth }, {}).logins).toMatchObject([
      { registry: "docker.io", username: "ann", password: "a:b" },
    ]);
  });

  test("ssh gets the user's words first, never asks, and takes no option for a host's name", () => {
    expect(sshArguments("ssh://ann@box:2222/run/d.sock", ["-i", "key"])).toEqual([
      "-i",
      "key",
      "-o",
      "BatchMode=yes",
      "-o",
      "ConnectTimeout=30",
      "-T",
      "-o",
      "ServerAliveInterval=15",
      "-o",
      "ServerAliveCountMax=3",
      "-l",
      "ann",
      "-p",
      "2222",
      "--",
      "box",
      "docker",
      "--host",
      "unix:///run/d.sock",
      "system",
      "dial-stdio",
    ]);
    expect(() => sshArguments("ssh://ann:pw@box", [])).toThrow(/password .* is not taken/);
  });
});

describe("an engine that does not answer", () => {
  test("is named, with what to do", async () => {
    const gone = await harness({ host: `unix://${join(dir, "none.sock")}` });
    await expect(gone.create(NETWORK, { name: "n" })).rejects.toThrow(
      /^cannot create the network n: no answer from a Docker engine at unix:.*none\.sock: .*ENOENT.*\. Is the Docker engine running\? .*systemctl start docker.*DOCKER_HOST/,
    );
    const refused = await harness({ host: `tcp://127.0.0.1:${await freePort()}` });
    await expect(refused.create(NETWORK, { name: "n" })).rejects.toThrow(
      /ECONNREFUSED.*check that it is up and listens there/,
    );
    const odd = await harness({ host: "ftp://x" });
    await expect(odd.create(NETWORK, { name: "n" })).rejects.toThrow(/"ftp:\/\/x" is no address of a Docker engine/);
  });
});

/** Its key, and a known_hosts with its own, as files. */
function loginOf(sshd: Sshd): { key: string; hosts: string } {
  const [key, hosts] = [join(sshd.dir, "id"), join(sshd.dir, "known_hosts")];
  writeFileSync(key, sshd.privateKey, { mode: 0o600 });
  writeFileSync(hosts, `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`);
  return { key, hosts };
}

const noClient =
  spawnSync("docker", ["--version"]).error === undefined ? undefined : "no docker command on this machine";
const noSsh = missing ?? noSshd ?? noClient;
describe.skipIf(noSsh)(`an engine over ssh://${noSsh ? ` (skipped: ${noSsh})` : ""}`, () => {
  test("is reached by key; a host whose key is unknown is refused, and so is a login that fails", async () => {
    const sshd: Sshd = await startSshd();
    try {
      const { key, hosts } = loginOf(sshd);
      writeFileSync(hosts, "");
      const host = `ssh://${sshd.user}@127.0.0.1:${sshd.port}${it.host.replace("unix://", "")}`;
      const sshOpts = (...more: string[]) =>
        JSON.stringify(["-F", "none", "-o", `UserKnownHostsFile=${hosts}`, ...more]);
      const unknown = await harness({ host, sshOpts: sshOpts("-i", key) });
      await expect(unknown.create(NETWORK, { name: "n" })).rejects.toThrow(
        /Host key verification failed.*compare its fingerprint/s,
      );
      writeFileSync(hosts, `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`);
      await makesNetwork({ host, sshOpts: sshOpts("-i", key) });
      const other = join(dir, "other");
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", other]);
      const nobody = await harness({
        host,
        sshOpts: sshOpts("-i", other, "-o", "IdentitiesOnly=yes"),
      });
      await expect(nobody.create(NETWORK, { name: "n" })).rejects.toThrow(/Permission denied.*logs in there by key/s);
    } finally {
      await sshd.stop();
    }
  });

  test("says what is missing there: Docker's command line, or the right to its socket", async () => {
    const [none, nobody] = [join(dir, "none"), join(dir, "nobody")];
    for (const folder of [none, nobody]) {
      mkdirSync(folder);
      symlinkSync("/bin/sh", join(folder, "sh"));
    }
    const client = execFileSync("which", ["docker"], { encoding: "utf8" }).trim();
    writeFileSync(join(nobody, "docker"), `#!/bin/sh\n/usr/bin/setpriv --reuid=65534 --clear-groups ${client} "$@"\n`, {
      mode: 0o755,
    });
    const said = async (path: string) => {
      const sshd = await startSshd({ config: [`SetEnv PATH=${path}`] });
      try {
        const { key, hosts } = loginOf(sshd);
        const host = `ssh://${sshd.user}@127.0.0.1:${sshd.port}${it.host.replace("unix://", "")}`;
        const sshOpts = JSON.stringify(["-F", "none", "-o", `UserKnownHostsFile=${hosts}`, "-i", key]);
        return await (await harness({ host, sshOpts })).create(NETWORK, { name: "n" }).catch(String);
      } finally {
        await sshd.stop();
      }
    };
    expect(await said(none)).toMatch(/not found\. Install Docker's command line on the host/);
    expect(await said(nobody)).toMatch(/connect: permission denied\. .* add that user to the group docker/);
  });

  test("may drop while a container is waited for", async () => {
    const sshd = await startSshd();
    const { key, hosts } = loginOf(sshd);
    const host = `ssh://${sshd.user}@127.0.0.1:${sshd.port}${it.host.replace("unix://", "")}`;
    const sshOpts = JSON.stringify(["-F", "none", "-o", `UserKnownHostsFile=${hosts}`, "-i", key]);
    const far = await harness({ host, sshOpts }, dir);
    try {
      const healthcheck = { tests: ["CMD", "/bin/cat", "/healthy"], interval: "500ms", timeout: "5s", retries: 1000 };
      const inputs = { image: IMAGE, networkMode: "none", name: "slow", wait: true, waitTimeout: 400, healthcheck };
      const making = far.create(CONTAINER, inputs);
      making.catch(() => {});
      await until("it is waited for", () => far.lines.some((line) => line.includes("waiting for the container")));
      // No login comes to its end meanwhile.
      for (let times = 0; times < 60; times++) {
        sshd.dropConnections();
        await sleep(50);
      }
      const exec = await it.docker.getContainer("slow").exec({ Cmd: ["/bin/sh", "-c", "echo yes > /healthy"] });
      await exec.start({});
      const made = await making;
      expect(made.outputs.name).toBe("slow");
      await far.delete(made);
    } finally {
      await far.provider.close();
      await sshd.stop();
    }
  });
});
