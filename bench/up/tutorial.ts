import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRehearsal, stopRehearsal, type UpstreamFacts } from "../../rehearsal/index.ts";
import { freePort } from "../../rehearsal/lib/ports.ts";
import type { BigModel } from "./hub.ts";

/** Seconds that the tutorial may take. */
const deadline = 1800;

/**
 * The tutorial's steps (docs/tutorial-map.md) as one shell script, at their best: nothing of it breaks, each of its commands is quiet and is not repeated.
 * What is in its way today is already mended: the repositories are the ones that still exist, CLIP is built with a setuptools that can.
 */
function script(upstreams: UpstreamFacts, models: BigModel[], port: number, wheels: string | undefined): string {
  const [git = ""] = upstreams.git;
  const [hub = ""] = upstreams.huggingface;
  const repositories = upstreams.sources.filter(({ name }) => name !== "webui");
  const payload = JSON.stringify({ prompt: "a lighthouse", steps: 2, width: 64, height: 64 });
  return `set -e
cd "$HOME"
rm -rf webui CLIP
git clone -q ${git}${upstreams.sources.find(({ name }) => name === "webui")?.path} webui
${repositories
  .map(({ path, commit, into }) => {
    const folder = into.replace(/^src\/webui\//, "webui/").replace(/^src\//, "");
    return `git clone -q ${git}${path} ${folder} && git -C ${folder} checkout -q ${commit}`;
  })
  .join("\n")}
cd webui
python3 -m venv venv
. venv/bin/activate
${packages(wheels)}
pip install -q --disable-pip-version-check --no-build-isolation ../CLIP
wget -q -P models/Stable-diffusion ${models.map(({ sources }) => sources[0]?.url).join(" ")}
HF_ENDPOINT=${hub} nohup python launch.py --server-name 127.0.0.1 --port ${port} --api --no-download-sd-model \\
  --ckpt models/Stable-diffusion/${models[0]?.file} >log 2>&1 </dev/null &
until grep -q 'Startup time' log; do sleep 0.1; done
until curl -sf -o /dev/null -H 'content-type: application/json' -d '${payload}' http://127.0.0.1:${port}/sdapi/v1/txt2img; do sleep 0.5; done
kill $!
`;
}

/** As `requirements_versions.txt` and the launcher's torch; of the real ones pip is told every version, so that it has none to look for. */
function packages(wheels: string | undefined): string {
  const install = "pip install -q --disable-pip-version-check";
  if (wheels === undefined) return `${install} -r requirements_versions.txt 'setuptools<81' wheel packaging`;
  const text = (file: string) => readFileSync(new URL(`../../images/wheels/${file}`, import.meta.url), "utf8");
  const versions = text(`${wheels}.txt`).match(/^[\w.-]+==\S+/gm) ?? [];
  return `cat >real.txt <<'END'
${text(`${wheels}.in`)}END
cat >versions.txt <<'END'
${versions.join("\n")}
END
${install} -r real.txt -c versions.txt packaging`;
}

/**
 * Runs it twice on a fresh host of this machine, over ssh: from nothing, and again with what pip kept.
 * @param wheels a lock of images/wheels whose packages it installs. @default the stand-in's
 * @returns seconds until it drew
 */
export async function tutorial(models: BigModel[], wheels?: string): Promise<{ cold: number; again: number }> {
  const folder = mkdtempSync(join(tmpdir(), "atelier-tutorial-"));
  const stackDir = join(folder, "stack");
  try {
    const { host, upstreams } = await startRehearsal({
      stackDir,
      cacheDir: join(folder, "cache"),
      host: true,
      upstreams: true,
    });
    if (!host || !upstreams) throw new Error("the host or its upstreams did not start");
    const key = join(folder, "key");
    writeFileSync(key, host.privateKey, { mode: 0o600 });
    const text = script(upstreams, models, await freePort(), wheels);
    const run = () => ssh(["-i", key, "-p", String(host.port), `${host.user}@${host.address}`], text);
    return { cold: await run(), again: await run() };
  } finally {
    await stopRehearsal({ stackDir });
    rmSync(folder, { recursive: true, force: true });
  }
}

function ssh(where: string[], input: string): Promise<number> {
  const quiet = [
    "-F",
    "none",
    "-o",
    "BatchMode=yes",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
  ];
  const began = Date.now();
  return new Promise((resolve, reject) => {
    const child = spawn("ssh", [...quiet, ...where, "bash -s"], { stdio: ["pipe", "pipe", "pipe"] });
    const late = setTimeout(() => child.kill("SIGKILL"), deadline * 1000);
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => {
        said = (said + data).slice(-4000);
      });
    child.stdin.end(input);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(late);
      if (code === 0) resolve((Date.now() - began) / 1000);
      else reject(new Error(`the tutorial ended with ${code}:\n${said}`));
    });
  });
}
