import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** As much of Redis as tells whether a password is the right one. */
export function serveRedis(confPath: string, port: number): Promise<void> {
  const password = /^requirepass\s+"?([^"\s]+)/m.exec(readFileSync(confPath, "utf8"))?.[1];
  const server = createServer((socket) => {
    let known = password === undefined;
    let rest = "";
    socket.on("error", () => {});
    socket.on("data", (data) => {
      rest += data.toString("latin1");
      const lines = rest.split("\r\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [command = "", argument = ""] = line.trim().split(/\s+/);
        if (command.toUpperCase() === "AUTH") {
          known = argument === password;
          socket.write(known ? "+OK\r\n" : "-WRONGPASS invalid username-password pair\r\n");
        } else if (!known) socket.write("-NOAUTH Authentication required.\r\n");
        else socket.write(command.toUpperCase() === "PING" ? "+PONG\r\n" : "-ERR REHEARSAL knows AUTH and PING\r\n");
      }
    });
  });
  return new Promise((listens) => server.listen(port, "0.0.0.0", listens));
}

/** @throws when Redis is not there after 60 s, or refuses the password */
export async function pingRedis(environment: Record<string, string | undefined>): Promise<void> {
  const { REDIS_HOST: host, REDIS_PORT: port = "6379", REDIS_PASSWORD: password = "" } = environment;
  if (!host) return;
  const deadline = Date.now() + 60_000;
  for (;;) {
    const said = await ask(host, Number(port), `AUTH ${password}\r\nPING\r\n`);
    if (said.includes("+PONG")) return;
    if (said.startsWith("-")) throw new Error(`Redis at ${host}:${port} refuses REDIS_PASSWORD: ${said.trim()}`);
    if (Date.now() > deadline) throw new Error(`Redis at ${host}:${port} did not answer for 60 s`);
    await sleep(500);
  }
}

function ask(host: string, port: number, text: string): Promise<string> {
  return new Promise((answer) => {
    let said = "";
    const socket = connect({ host, port }, () => socket.write(text));
    const done = () => {
      socket.destroy();
      answer(said);
    };
    socket.setTimeout(2000, done);
    socket.on("error", done);
    socket.on("data", (data) => {
      said += data.toString("latin1");
      if (said.split("\r\n").length > 2) done();
    });
  });
}
