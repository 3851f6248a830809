import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, UserError } from "../errors.ts";
import type { Session } from "../ssh.ts";

/** Lines in a row that drop, or do not come about, without bringing anything on. */
const patience = 10;

/**
 * Works over a line to a host, and goes on over another one where it drops.
 * @param work takes the line, and tells how much is still to do: less than ever before is progress
 * @throws UserError where the first line does not come about, or too many in a row were of no use; what `work` throws on a line that holds
 */
export async function overDrops(
  { open, say, signal }: { open: () => Promise<Session>; say: (line: string) => void; signal: AbortSignal },
  work: (session: Session, left: (bytes: number) => void) => Promise<void>,
): Promise<Session> {
  let [least, barren, lines] = [Number.POSITIVE_INFINITY, 0, 0];
  for (;;) {
    let [session, dropped]: [Session | undefined, boolean] = [undefined, false];
    const end = () => session?.close();
    try {
      session = await open();
      lines++;
      session.onClose(() => {
        dropped = true;
      });
      signal.addEventListener("abort", end);
      await work(session, (bytes) => {
        if (bytes < least) barren = 0;
        least = Math.min(least, bytes);
      });
      return session;
    } catch (error) {
      // A line's channels end before it does.
      await sleep(300);
      signal.throwIfAborted();
      if (lines === 0 || (session && !dropped)) throw error;
      if (++barren >= patience)
        throw new UserError(
          `${session?.where ?? "The host"}: ${patience} lines in a row dropped, the last: ${messageOf(error)} What came stays there: run it again, and it goes on from there.`,
        );
      if (session) say("the line dropped; it goes on over another one");
      await sleep(Math.min(500 * barren, 5000), undefined, { signal });
    } finally {
      signal.removeEventListener("abort", end);
      session?.close();
    }
  }
}
