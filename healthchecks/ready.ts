import { drawn, hint, progress, read, serverError } from "./answers.ts";
import { CallFailed, CheckFailed, reason } from "./failure.ts";
import type { Session } from "./session.ts";

// Polls of a port that just opened can crash the WebUI's start: its API is added after the port answers,
// and a call in between breaks that. So the first pauses are long, and none is under 500 ms.
const pauses = [3000, 3000, 2000, 2000, 1000];
const drawingTries = 3;
/** Milliseconds until the same is said again. */
const sayAgain = 10_000;

/**
 * Waits until the API answers to its login. An open port proves nothing: it answers 404 before the API
 * is there, and for good when the start crashed.
 * @param end when to give up, on the clock of `performance.now()`
 */
export async function waitForApi(session: Session, end = endOfReady(session)): Promise<void> {
  const { deadlines } = session.input;
  let missingSince: number | undefined;
  let seen = "nothing yet";
  const said = { seen: "", at: 0 };
  for (let round = 0; ; round++) {
    try {
      const timeout = Math.max(500, Math.min(deadlines.request * 1000, end - performance.now()));
      const answer = await session.ask("/sdapi/v1/progress", { timeout });
      if (answer.status === 200) return;
      if (answer.status === 401 || answer.status === 403) {
        throw new CheckFailed(`The WebUI refused the login: ${answer.status} ${serverError(answer)}`, hint(answer));
      }
      seen = `${answer.status} ${serverError(answer)}`;
      missingSince = answer.status === 404 ? (missingSince ?? performance.now()) : undefined;
      if (missingSince !== undefined && performance.now() - missingSince > deadlines.crashed * 1000) {
        throw new CallFailed(
          "unreachable",
          `The WebUI's start has crashed: its port answers, but /sdapi has been 404 for ${deadlines.crashed} s`,
          "Restart its service and read its log on the host; it also needs --api",
        );
      }
    } catch (error) {
      if (session.signal.aborted || !(error instanceof CallFailed) || missingSince !== undefined) throw error;
      seen = reason(error);
    }
    const wait = pauses[Math.min(round, pauses.length - 1)]!;
    if (performance.now() + wait > end) {
      throw new CallFailed(
        "unreachable",
        `The WebUI at ${session.input.url} had no API after ${deadlines.ready} s; last: ${seen}`,
        "Read its log on the host, and check that this address and port lead to it",
      );
    }
    if (seen !== said.seen || performance.now() - said.at > sayAgain) {
      session.say(`waiting for the WebUI: ${seen.length > 120 ? `${seen.slice(0, 119)}…` : seen}`);
      Object.assign(said, { seen, at: performance.now() });
    }
    await session.sleep(wait);
  }
}

/**
 * Waits until a picture comes out, the one sure sign of a loaded model: `/sd-models`, `/options` and
 * `sd_checkpoint_hash` answer as if all were well while nothing is loaded.
 */
export async function waitForPicture(session: Session): Promise<string> {
  const start = performance.now();
  const end = endOfReady(session);
  await waitForApi(session, end);
  const call = "POST /sdapi/v1/txt2img";
  const json = { prompt: "ready?", steps: 1, width: 64, height: 64, seed: 1, save_images: false };
  session.say("waiting for the first picture (the model loads)");
  for (let attempt = 1; ; attempt++) {
    const timeout = Math.max(1000, end - performance.now());
    let again = false;
    try {
      const answer = await session.ask("/sdapi/v1/txt2img", { method: "POST", json, timeout });
      again = answer.status >= 500;
      read(drawn, answer, call);
      return `The first picture came after ${((performance.now() - start) / 1000).toFixed(1)} s.`;
    } catch (error) {
      if (session.signal.aborted) throw error;
      if (error instanceof CallFailed && error.problem === "late") {
        throw await noPicture(session);
      }
      // The load in the background and the first picture can fall over each other once.
      if (!again || attempt === drawingTries || performance.now() + 2000 > end) throw error;
      session.say(`no picture yet: ${reason(error).slice(0, 160)}`);
      await session.sleep(2000);
    }
  }
}

/** Why no picture came in time: one is being drawn, ours or someone else's, or there is no model. */
async function noPicture(session: Session): Promise<CallFailed> {
  const { ready } = session.input.deadlines;
  const { state } = read(
    progress,
    await session.ask("/sdapi/v1/progress?skip_current_image=true"),
    "GET /sdapi/v1/progress",
  );
  if (state.job) {
    return new CallFailed(
      "late",
      `No picture after ${ready} s: the WebUI is still drawing (${state.job}, step ${state.sampling_step} of ${state.sampling_steps})`,
      "Wait until it is idle, or give the proof more time (proof.timeout)",
    );
  }
  return new CallFailed(
    "late",
    `No picture after ${ready} s: the API answers, but the model does not load`,
    "Look in the WebUI's log for 'Stable diffusion model failed to load'; the tokenizer's files or the checkpoint are missing or broken",
  );
}

function endOfReady(session: Session): number {
  return performance.now() + session.input.deadlines.ready * 1000;
}
