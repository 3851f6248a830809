import { Monitor, type MonitorHost } from "../monitor/monitor.ts";
import { type Launch, launchProgram } from "./launch.ts";
import type { RunningProgram } from "./program.ts";

/**
 * The program and what serves it, started before there is a deployment: loading the SDK takes as long as reading and
 * decrypting the state, so both go on side by side. What the program asks for and prints waits for `serve`.
 */
export class ServedProgram {
  readonly program: RunningProgram;
  readonly #monitor: Monitor;
  readonly #serve: (host: MonitorHost) => void;

  /** @throws when no port of loopback can be had */
  static async start(launch: Omit<Launch, "address" | "after">): Promise<ServedProgram> {
    const host = Promise.withResolvers<MonitorHost>();
    const monitor = new Monitor(host.promise);
    const address = await monitor.listen();
    return new ServedProgram(launchProgram({ ...launch, address, after: host.promise }), monitor, host.resolve);
  }

  private constructor(program: RunningProgram, monitor: Monitor, serve: (host: MonitorHost) => void) {
    this.program = program;
    this.#monitor = monitor;
    this.#serve = serve;
  }

  serve(host: MonitorHost): void {
    this.#serve(host);
  }

  /** Ends both; again does no harm. */
  async stop(): Promise<void> {
    await this.program.stop();
    this.#monitor.close();
  }
}
