import { Checklist } from "./checklist.ts";
import { checkAuthBriefly } from "./checks/auth.ts";
import { checkShape, txt2imgBody } from "./checks/pictures.ts";
import { checkApps } from "./dify/prove.ts";
import { type Generated, generate } from "./draw.ts";
import { waitForApi } from "./ready.ts";
import type { Proof } from "./result.ts";
import type { Session } from "./session.ts";

const side = 256;
const steps = 8;

/** The short check that ends every update: the password asked for, and one small picture. Writes no file. */
export async function live(session: Session): Promise<Proof> {
  const { input } = session;
  const list = new Checklist(session);
  let drawing: Generated | undefined;
  await list.ready(async () => {
    await waitForApi(session);
    return "The API answers to its password.";
  });
  await list.run("auth", "answers", () => checkAuthBriefly(session));
  await list.run("picture", "draws", async () => {
    const size = { width: Math.min(input.width, side), height: Math.min(input.height, side) };
    const body = { ...txt2imgBody(session), ...size, steps: Math.min(input.steps, steps) };
    drawing = await generate(session, "txt2img", body, "picture");
    checkShape(drawing, size.width, size.height);
    return `${size.width}x${size.height} by ${drawing.info.sd_model_name}, ${drawing.seconds.toFixed(1)} s.`;
  });
  if (input.dify) await list.run("dify", "answers", () => checkApps(session));
  return {
    ok: list.ok,
    provedAt: new Date().toISOString(),
    webui: { url: input.url, version: drawing?.info.version ?? "unknown", commit: input.commit ?? "unknown" },
    checks: list.checks.map((check) => ({ ...check, name: `live-${check.name}` })),
    images: [],
  };
}
