import type { PropertyMap } from "../../../values.ts";
import { flag, text } from "../plain.ts";
import type { Call } from "../resources/resource.ts";

/** Waits until the container has ended. */
export async function waitForEnd(id: string, name: string, call: Call): Promise<void> {
  await call.engine.ask(
    `wait for the end of the container ${name}`,
    call,
    (docker) => docker.getContainer(id).wait(),
    0,
  );
}

/**
 * What a container has said.
 * @param tail how many lines of it, its last ones. @default everything
 */
export async function containerLogs(id: string, inputs: PropertyMap, call: Call, tail?: number): Promise<string> {
  const logs = await call.engine.ask(`read the logs of the container ${text(inputs, "name")}`, call, (docker) =>
    docker.getContainer(id).logs({ stdout: true, stderr: true, follow: false, ...(tail ? { tail } : {}) }),
  );
  return flag(inputs, "tty") ? logs.toString("utf8") : unframed(logs);
}

/** Without a terminal each piece comes behind 8 bytes: the stream's number, three zeros, the length. */
function unframed(logs: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 8 <= logs.length; ) {
    const length = logs.readUInt32BE(at + 4);
    pieces.push(logs.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(pieces).toString("utf8");
}
