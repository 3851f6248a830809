import { format } from "node:util";

type Mask = (text: string) => string;
const masks = new Set<Mask>();

/**
 * From now on what gRPC itself logs (GRPC_TRACE, GRPC_VERBOSITY) goes through this, too: the status of a call holds an error's whole text.
 * @returns what ends it
 */
export function maskGrpcLog(mask: Mask): () => void {
  masks.add(mask);
  return () => {
    masks.delete(mask);
  };
}

const told =
  (severity: string) =>
  (...words: unknown[]): void => {
    // A header of bytes is in base64, where no text is found: such as the error of a half-made resource, with its inputs.
    let line = format(...words).replace(/(-bin: )\S+/g, "$1…");
    for (const mask of masks) line = mask(line);
    console.error(`${severity} ${line}`);
  };

/** In the form of gRPC's own. */
export const grpcLogger = { error: told("E"), info: told("I"), debug: told("D") };
