import { type DrawnInfo, drawn, drawnInfo, enlarged, readText, requireOk } from "./answers.ts";
import { CallFailed, CheckFailed, reason } from "./failure.ts";
import { decodePicture, type Picture } from "./picture.ts";
import { followProgress } from "./progress.ts";
import type { Session } from "./session.ts";

/** A picture as it came, decoded. */
export interface Drawing {
  png: Buffer;
  picture: Picture;
  seconds: number;
}

/** A drawing with what the WebUI says of how it was made. */
export interface Generated extends Drawing {
  info: DrawnInfo;
}

/** Draws by `txt2img` or `img2img`. @param name as progress calls it. @throws {CheckFailed} */
export async function generate(
  session: Session,
  route: "txt2img" | "img2img",
  body: Record<string, unknown>,
  name: string = route,
): Promise<Generated> {
  const call = `POST /sdapi/v1/${route}`;
  const { text, seconds } = await post(session, route, body, name);
  const answer = readText(drawn, text, call);
  return { ...decode(answer.images[0]!, call), seconds, info: readText(drawnInfo, answer.info, `${call} (info)`) };
}

/** Enlarges by `extra-single-image`. @throws {CheckFailed} */
export async function enlarge(session: Session, body: Record<string, unknown>): Promise<Drawing> {
  const call = "POST /sdapi/v1/extra-single-image";
  const { text, seconds } = await post(session, "extra-single-image", body, "upscale");
  return { ...decode(readText(enlarged, text, call).image, call), seconds };
}

async function post(session: Session, route: string, body: Record<string, unknown>, name: string) {
  const path = `/sdapi/v1/${route}`;
  const start = performance.now();
  session.say(`${name} …`);
  const following = followProgress(session, name);
  try {
    const timeout = session.input.deadlines.picture * 1000;
    const answer = await session.ask(path, { method: "POST", json: body, timeout });
    requireOk(answer, `POST ${path}`);
    return { text: answer.text, seconds: Math.round(performance.now() - start) / 1000 };
  } catch (error) {
    if (error instanceof CallFailed && error.problem === "late" && !session.signal.aborted) {
      // Else the WebUI goes on drawing for nobody, and the next caller waits for it.
      await session.ask("/sdapi/v1/interrupt", { method: "POST", timeout: 5000 }).catch(() => {});
    }
    throw error;
  } finally {
    following.stop();
  }
}

function decode(base64: string, call: string): { png: Buffer; picture: Picture } {
  const png = Buffer.from(base64.replace(/^data:image\/\w+;base64,/, ""), "base64");
  try {
    return { png, picture: decodePicture(png) };
  } catch (error) {
    throw new CheckFailed(`${call} answered ${reason(error)}`, "The WebUI's setting samples_format has to be png");
  }
}
