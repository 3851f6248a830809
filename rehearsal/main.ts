import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { rehearsalStatus, startRehearsal, stopRehearsal } from "./index.ts";

const usage = `Usage: node rehearsal/main.ts start|stop|status --dir <folder> [--cache <folder>] [--only host|upstreams|dify] [--dify] [--remove]

  start    the SSH host and the stand-in upstreams of a folder, with --dify a stand-in Dify too; what runs is left alone
  stop     all of them, and all that was started through the host; --remove removes their folders too
  status   what runs, as JSON (exit code 1 when nothing does)`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      dir: { type: "string" },
      cache: { type: "string" },
      only: { type: "string" },
      dify: { type: "boolean", default: false },
      remove: { type: "boolean", default: false },
    },
  });
  const [command, ...more] = positionals;
  if (!values.dir || more.length > 0 || (values.only && !["host", "upstreams", "dify"].includes(values.only)))
    return wrong();
  const stackDir = resolve(values.dir);
  const wanted = (part: string) => values.only === undefined || values.only === part;
  if (command === "start") {
    const { host, upstreams, dify } = await startRehearsal({
      stackDir,
      cacheDir: resolve(values.cache ?? join(stackDir, "cache")),
      host: wanted("host"),
      upstreams: wanted("upstreams"),
      dify: values.dify || values.only === "dify",
    });
    if (host)
      console.log(
        `host       ssh ${host.user}@${host.address} -p ${host.port} -i ${join(stackDir, "host/ssh/client_ed25519")}`,
      );
    if (upstreams) console.log(`upstreams  ${upstreams.git[0]} ${upstreams.huggingface[0]}`);
    if (dify) console.log(`dify       ${dify.url} (its login: ${join(stackDir, "dify", "dify.json")})`);
    return 0;
  }
  if (command === "stop") {
    await stopRehearsal({ stackDir, remove: values.remove });
    return 0;
  }
  if (command !== "status") return wrong();
  const { host, upstreams, dify } = rehearsalStatus({ stackDir });
  const shown = {
    host: { running: host.running, address: host.facts?.address, port: host.facts?.port, pid: host.facts?.pid },
    upstreams: { running: upstreams.running, git: upstreams.facts?.git[0], pid: upstreams.facts?.pid },
    ...(dify.facts && { dify: { running: dify.running, url: dify.facts.url, pid: dify.facts.pid } }),
  };
  console.log(JSON.stringify(shown, null, 2));
  return host.running || upstreams.running || dify.running ? 0 : 1;
}

function wrong(): number {
  console.error(usage);
  return 2;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  },
);
