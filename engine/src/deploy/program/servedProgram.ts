import type { AddressInfo, Server } from "node:net";
import { createServer } from "node:net";
import type { Monitor, MonitorHost } from "../monitor/monitor.ts";
import { type Launch, launchProgram } from "./launch.ts";
import type { RunningProgram } from "./program.ts";

/**
 * The program and what serves it, started before there is a deployment: loading the SDK takes as long as loading the
 * engine and reading the state, so all go on side by side. What the program asks for and prints waits for `serve`.
 */
export class ServedProgram {
  readonly program: RunningProgram;
  readonly #server: Server;
  readonly #monitor: Promise<Monitor>;
  readonly #serve: (host: MonitorHost) => void;

  /** @throws when no port of loopback can be had */
  static async start(launch: Omit<Launch, "address" | "after">): Promise<ServedProgram> {
    const host = Promise.withResolvers<MonitorHost>();
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    // Whether this process goes on is the program's matter alone.
    server.unref();
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const program = launchProgram({ ...launch, address, after: host.promise });
    const monitor = import("../monitor/monitor.ts").then((module) => new module.Monitor(host.promise));
    // Without it the program's connections end, and the program says so.
    monitor.catch(() => {});
    server.on("connection", (connection) => {
      connection.on("error", () => {});
      monitor.then((served) => served.accept(connection)).catch(() => connection.destroy());
    });
    return new ServedProgram(program, server, monitor, host.resolve);
  }

  private constructor(
    program: RunningProgram,
    server: Server,
    monitor: Promise<Monitor>,
    serve: (host: MonitorHost) => void,
  ) {
    this.program = program;
    this.#server = server;
    this.#monitor = monitor;
    this.#serve = serve;
  }

  serve(host: MonitorHost): void {
    this.#serve(host);
  }

  /** Ends both; again does no harm. */
  async stop(): Promise<void> {
    await this.program.stop();
    this.#server.close();
    await this.#monitor.then(
      (monitor) => monitor.close(),
      () => {},
    );
  }
}
