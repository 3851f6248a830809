import { appendFileSync, existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { startHost, stopHost } from "../../rehearsal/host.ts";

/**
 * A provider of boxes, as a user's two commands would call it: `provider.ts create|destroy`. A box is a real OpenSSH server on a free port.
 * FAKE_FOLDER is its data centre; FAKE_FAULT: `half` (fails after the box runs), `words` (no JSON), `wrong-key`, `slow`; FAKE_DESTROY=fail.
 * FAKE_API_KEY must be there, and only there.
 */
const folder = process.env.FAKE_FOLDER ?? "";
const fault = process.env.FAKE_FAULT;
if (!folder || process.env.FAKE_API_KEY !== "the-api-key") throw new Error("FAKE_FOLDER or FAKE_API_KEY is missing");

/** What was asked, a line each: what a bill would show. */
const log = (line: string) => appendFileSync(join(folder, "log"), `${line}\n`);

if (process.argv[2] === "create") {
  const id = `box-${readdirSync(folder).filter((name) => name.startsWith("box-")).length + 1}`;
  log(`create ${id} for ${process.env.ATELIER_STACK}`);
  const { port, user, hostKey, privateKey } = await startHost({
    dir: join(folder, id),
    cacheDir: join(folder, "cache"),
  });
  process.stdout.write(fault === "words" ? `rented ${id}` : `{"id":"${id}",`);
  if (fault === "half") {
    process.stderr.write("the platform hung up\n");
    process.exit(7);
  }
  if (fault === "slow") await new Promise((done) => setTimeout(done, 600_000));
  if (fault !== "words") {
    const key = fault === "wrong-key" ? hostKey.replace(/.{4}$/, "AAAA") : hostKey;
    const said = JSON.stringify({ host: "127.0.0.1", port, user, hostKey: key, privateKey });
    process.stdout.write(said.slice(1));
  }
} else {
  const printed = await text(process.stdin);
  const id = /box-\d+/.exec(printed)?.[0];
  log(`destroy ${id ?? "nothing"}`);
  if (process.env.FAKE_DESTROY === "fail") {
    process.stderr.write("the platform says no\n");
    process.exit(9);
  }
  if (id && existsSync(join(folder, id))) {
    await stopHost({ dir: join(folder, id) });
    rmSync(join(folder, id, "ssh"), { recursive: true, force: true });
  }
}
