import type { ClientUnaryCall, Metadata, ServiceError } from "@grpc/grpc-js";
import type { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import { CLIENT_OPTIONS, grpc, providerGrpc, providerPb, statusPb } from "../../deploy/monitor/rpc.ts";
import { fromStruct } from "../../deploy/monitor/structs.ts";
import { NodeChild } from "../../deploy/program/childProcess.ts";
import { type CallContext, GivenUp, InitFailed } from "../../provider.ts";

const START_TIMEOUT_MS = 60_000;
/** The child insists on the address of an engine, and never dials it. */
const NO_ENGINE = "127.0.0.1:0";

type Client = InstanceType<typeof providerGrpc.ResourceProviderClient>;
type Done<T> = (error: ServiceError | null, response: T) => void;
/** One call: hands the message to the client's method. */
export type Send<T> = (client: Client, metadata: Metadata, done: Done<T>) => ClientUnaryCall;

/** The running process in which the code of dynamic resources is at home. */
export interface DynamicProcess {
  /**
   * One call; what the process prints meanwhile goes to the call's log.
   * @throws InitFailed for a resource that was made but is not well; Error with the code's own message
   */
  call<T>(context: CallContext, send: Send<T>): Promise<T>;
  close(): Promise<void>;
}

/** Starts the process and configures it. Rejects when it ends, or says nothing, before it is ready. */
export async function startDynamicProcess(options: {
  script: string;
  cwd: string;
  env: Record<string, string>;
  config: Struct;
}): Promise<DynamicProcess> {
  const child = new NodeChild({ script: options.script, env: options.env });
  child.run({ cwd: options.cwd, args: [NO_ENGINE] });
  const running = new Set<CallContext>();
  /** What was printed before an answer may be read after it. */
  let answered: CallContext | undefined;
  const printed: string[] = [];
  const toCalls = (stream: "stdout" | "stderr") => (text: string) => {
    // Which of several running calls printed a line can't be known: the youngest gets it.
    const youngest = [...running].at(-1) ?? answered;
    if (youngest !== undefined) youngest.log({ stream, text });
    else printed.push(text);
  };
  child.lines("stderr", toCalls("stderr"));
  const port = await firstLine(child, toCalls("stdout"), printed);
  const client = new providerGrpc.ResourceProviderClient(
    `127.0.0.1:${port}`,
    grpc.credentials.createInsecure(),
    CLIENT_OPTIONS,
  );

  async function call<T>(context: CallContext | undefined, send: Send<T>): Promise<T> {
    if (context !== undefined) running.add(context);
    let abort: (() => void) | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        const sent = send(client, new grpc.Metadata(), (error, response) =>
          error === null
            ? resolve(response)
            : reject(context && timeIsOver(context) ? new GivenUp(TIME_OVER) : asError(error)),
        );
        abort = () => sent.cancel();
        context?.signal.addEventListener("abort", abort, { once: true });
        if (context?.signal.aborted) sent.cancel();
      });
    } finally {
      if (context !== undefined) {
        running.delete(context);
        answered = context;
      }
      if (abort !== undefined) context?.signal.removeEventListener("abort", abort);
    }
  }

  async function close(): Promise<void> {
    client.close();
    await child.stop();
  }

  try {
    const configure = new providerPb.ConfigureRequest()
      .setArgs(options.config)
      .setAcceptsecrets(true)
      .setAcceptresources(true)
      .setSendsOldInputs(true)
      .setSendsOldInputsToDelete(true);
    await call(undefined, (to, meta, done) =>
      to.configure(configure, meta, { deadline: Date.now() + START_TIMEOUT_MS }, done),
    );
  } catch (error) {
    await close();
    throw error;
  }
  return { call, close };
}

function timeIsOver({ signal }: CallContext): boolean {
  return signal.aborted && signal.reason instanceof DOMException && signal.reason.name === "TimeoutError";
}

/** The port that the process prints first; later lines of stdout go to `onLine`. */
function firstLine(child: NodeChild, onLine: (line: string) => void, printed: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let first = true;
    const fail = (why: string) => {
      const output = printed.length > 0 ? `:\n${printed.slice(-20).join("\n")}` : ".";
      reject(new Error(`The process for dynamic resources (@pulumi/pulumi/cmd/dynamic-provider) ${why}${output}`));
    };
    const timer = setTimeout(() => {
      fail(`did not tell its port within ${START_TIMEOUT_MS / 1000} s`);
      void child.stop();
    }, START_TIMEOUT_MS);
    void child.exited.then(async ({ code }) => {
      clearTimeout(timer);
      await child.drained();
      if (first) fail(`ended with code ${code} before it was ready`);
    });
    child.lines("stdout", (line) => {
      if (!first) return onLine(line);
      first = false;
      clearTimeout(timer);
      if (/^\d+$/.test(line.trim())) resolve(line.trim());
      else {
        fail(`printed "${line}" instead of a port`);
        void child.stop();
      }
    });
  });
}

/** The resource's own message; or InitFailed when the details say that the resource exists all the same. */
function asError(error: ServiceError): Error {
  const bytes = error.metadata?.get("grpc-status-details-bin")[0];
  if (bytes instanceof Uint8Array) {
    for (const detail of statusPb.Status.deserializeBinary(bytes).getDetailsList()) {
      const failed = detail.unpack(providerPb.ErrorResourceInitFailed.deserializeBinary, INIT_FAILED);
      if (failed !== null) {
        const reasons = failed.getReasonsList();
        return new InitFailed(
          failed.getId(),
          fromStruct(failed.getProperties()),
          reasons.length > 0 ? reasons : [error.details],
        );
      }
    }
  }
  if (error.code === grpc.status.UNAVAILABLE) {
    return new Error(`The process for dynamic resources ended during the call: ${error.details}`);
  }
  return new Error(error.details || error.message);
}

const TIME_OVER =
  "The resource's time is over (customTimeouts gives it more). The code of a dynamic resource can't be told to stop: what it did is not known.";
const INIT_FAILED = "pulumirpc.ErrorResourceInitFailed";
