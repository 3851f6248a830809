import type { CallContext } from "../../provider.ts";
import { parseUrn } from "../../urn.ts";
import type { EventSink } from "../eventSink.ts";

/** Beyond a resource's own time, so that its provider can say itself that it is over. */
const TIMEOUT_GRACE_SECONDS = 5;

/**
 * What a provider's call is told besides: whose it is, when to give up, and where its lines go.
 * @param seconds the resource's own time, 0: as long as it takes
 */
export function callContext(
  urn: string,
  seconds: number,
  { kill, events }: { kill: AbortSignal; events: EventSink },
): CallContext {
  const { type, name } = parseUrn(urn);
  const signal =
    seconds > 0 ? AbortSignal.any([kill, AbortSignal.timeout((seconds + TIMEOUT_GRACE_SECONDS) * 1000)]) : kill;
  return {
    urn,
    type,
    name,
    signal,
    log: ({ stream, text, ephemeral }) => {
      const severity = stream === "stdout" ? "info" : stream === "stderr" ? "info#err" : stream;
      events.diagnostic({ urn, message: text, severity, ephemeral });
    },
  };
}
