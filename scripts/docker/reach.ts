import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import type { Call } from "./engine.ts";
import type { Input } from "./input.ts";

/** Says all that the address answers with. Without a login: that somebody asks for one proves the way. The address comes by the environment. */
const ask = `
if command -v curl >/dev/null 2>&1; then curl -sS -i -m 10 "$ATELIER_URL" 2>&1 | head -n 20
else wget -S -O /dev/null -T 10 "$ATELIER_URL" 2>&1 | head -n 20
fi
`;

/** Asks the WebUI from inside of a container of the same network, before anything is wired to it. */
export async function reach(input: Input<"reach">, call: Call): Promise<{ status: number; seconds: number }> {
  const start = Date.now();
  let last = "";
  for (let tries = 0; ; tries++) {
    const { status, why } = await askOnce(input, call);
    // 404 is the WebUI at its start, 5xx a proxy before it.
    if (status >= 200 && status < 500 && status !== 404)
      return { status, seconds: Math.round((Date.now() - start) / 100) / 10 };
    last = status > 0 ? `it answered ${status}` : why;
    if (Date.now() - start > input.timeout * 1000) break;
    if (tries === 0) call.say(`the WebUI does not answer from inside yet: ${last}`);
    await sleep(2000, undefined, { signal: call.signal });
  }
  throw new Error(
    `Dify's containers do not reach the WebUI at ${input.url}: asked from a container of the network ${input.network} at ${call.engine.host} for ${input.timeout} s, ${last}. ${input.mend}`.trim(),
  );
}

async function askOnce(input: Input<"reach">, call: Call): Promise<{ status: number; why: string }> {
  const { engine } = call;
  const box = await engine.ask("create the container that asks the WebUI", call, (docker) =>
    docker.createContainer({
      name: `${input.name}-${randomBytes(3).toString("hex")}`,
      Image: input.image,
      Entrypoint: ["sh", "-c", ask],
      Cmd: [],
      Env: [`ATELIER_URL=${input.url}/sdapi/v1/sd-models`],
      Labels: input.labels,
      Healthcheck: { Test: ["NONE"] },
      HostConfig: { NetworkMode: input.network, ExtraHosts: input.hosts },
    }),
  );
  try {
    await engine.ask("start the container that asks the WebUI", call, () => box.start());
    await engine.ask("wait for the WebUI's answer to a container", call, () => box.wait(), 60);
    const said = await words(box, call);
    const [, status = "0"] = /HTTP\/[\d.]+ (\d{3})/.exec(said) ?? [];
    return { status: Number(status), why: said.trim().split("\n").pop()?.slice(-200) || "no answer" };
  } finally {
    // Its own time: the caller's may be what has ended.
    await box.remove({ force: true, v: true }).catch(() => {});
  }
}

/** All that it said: frames of eight bytes' head and a text. */
async function words(box: Docker.Container, call: Call): Promise<string> {
  const logs = await call.engine.ask("read what the container said", call, () =>
    box.logs({ stdout: true, stderr: true, follow: false }),
  );
  const texts: string[] = [];
  for (let at = 0; at + 8 <= logs.length; ) {
    const size = logs.readUInt32BE(at + 4);
    texts.push(logs.subarray(at + 8, at + 8 + size).toString("utf8"));
    at += 8 + size;
  }
  return texts.join("");
}
