import { readFileSync } from "node:fs";
import { join } from "node:path";
import type Docker from "dockerode";
import { pack } from "tar-stream";
import { type DifyService, difyServices } from "../../../images/dify.ts";

const BUSYBOX = "/bin/busybox";
const APPLETS =
  "cat chmod chown dirname echo env false grep head hostname httpd id ls mkdir nc printf rm sed sh sleep stat tail test touch tr true wget".split(
    " ",
  );

/** Programs that health checks call, as far as they go. */
const shims: Record<string, string> = {
  curl: 'for url; do :; done; exec wget -q -O /dev/null "$url"',
  pg_isready: "exec wget -q -O /dev/null http://127.0.0.1:5432/ready",
  // The server's file and the client's variable have to agree.
  "redis-cli": 'grep -qx "requirepass $REDISCLI_AUTH" /etc/atelier/redis.conf && echo PONG',
  celery: "echo pong",
  // What the tunnel is built on has one.
  ssh: "exit 1",
  bash: "exec wget -q -O /dev/null http://127.0.0.1:3128/ready",
};

/** One image that stands for all of Dify's. */
export const STAND_IN = "local/dify:1";
export const standIns = Object.fromEntries(difyServices.map((service) => [service, STAND_IN])) as Record<
  DifyService,
  string
>;

/** Puts it into an engine, under a name of one's own. */
export async function importStandIn(docker: Docker, name = STAND_IN): Promise<void> {
  const archive = pack();
  archive.entry({ name: "bin/busybox", mode: 0o755 }, readFileSync(BUSYBOX));
  for (const applet of APPLETS) archive.entry({ name: `bin/${applet}`, type: "symlink", linkname: "busybox" });
  for (const [shim, body] of Object.entries(shims))
    archive.entry({ name: `bin/${shim}`, mode: 0o755 }, `#!/bin/sh\n${body}\n`);
  archive.entry({ name: "roles", mode: 0o755 }, readFileSync(join(import.meta.dirname, "roles.sh")));
  for (const folder of ["tmp", "conf", "etc/squid", "etc/nginx/conf.d"])
    archive.entry({ name: folder, type: "directory", mode: 0o1777 });
  archive.entry({ name: "etc/passwd" }, "root:x:0:0:root:/:/bin/sh\n");
  archive.finalize();
  const [repo, tag] = name.split(/:(?=[^:/]+$)/);
  const stream: unknown = await docker.importImage(
    archive as unknown as string,
    { repo, tag, changes: ['ENTRYPOINT ["/roles"]'] } as never,
  );
  for await (const _ of stream as NodeJS.ReadableStream) {
    // To its end.
  }
}
