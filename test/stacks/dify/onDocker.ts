import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll } from "vitest";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { startDocker, type TestDocker } from "../../helpers/docker.ts";
import { importStandIn } from "./images.ts";
import { DifyWorkspace } from "./workspace.ts";

/** A workspace whose Dify is containers of stand-ins on an engine of its own; all of it ends with the test file. `missing`: why there is none. */
export async function difyOnDocker(): Promise<{ it: TestDocker; work: DifyWorkspace; missing: string | undefined }> {
  const { test, missing } = await startDocker();
  const it = test as TestDocker;
  const work = new DifyWorkspace();
  let webui: Server;
  beforeAll(async () => {
    if (missing) return;
    await importStandIn(it.docker);
    webui = createServer((_, answer) => answer.writeHead(401).end());
    await new Promise<void>((listens) => webui.listen(0, "0.0.0.0", listens));
    const { port } = webui.address() as AddressInfo;
    work.tell({
      settings: {
        host: { kind: "local" },
        webui: { port, listen: "0.0.0.0" },
        upstreams: { profile: "rehearsal" },
        dify: { port: await freePort(), docker: { host: it.host }, timeout: 500 },
      },
    });
  });
  afterAll(async () => {
    webui?.close();
    work.remove();
    await it?.stop();
  });
  return { it, work, missing };
}
