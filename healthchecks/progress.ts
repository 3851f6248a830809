import { setTimeout as pause } from "node:timers/promises";
import { progress, read } from "./answers.ts";
import type { Session } from "./session.ts";

/** Polls while a picture is drawn and says each new step, `txt2img 12/20`, until stopped. */
export function followProgress(session: Session, name: string): { stop: () => void } {
  const over = new AbortController();
  const follow = async () => {
    let last = "";
    while (!over.signal.aborted) {
      await pause(1000, undefined, { signal: over.signal });
      const answer = await session.ask("/sdapi/v1/progress?skip_current_image=true");
      const { state } = read(progress, answer, "GET /sdapi/v1/progress");
      // Before the first step and while a model loads, the WebUI says 0 of 0.
      const now = state.job && state.sampling_steps > 0 ? `${name} ${state.sampling_step}/${state.sampling_steps}` : "";
      if (now && now !== last && !over.signal.aborted) session.say(now);
      last = now;
    }
  };
  // Only for people: what goes wrong here shows in the picture's own call.
  follow().catch(() => {});
  return { stop: () => over.abort() };
}
