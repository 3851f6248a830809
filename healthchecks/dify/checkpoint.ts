import { Console } from "../../scripts/dify/client.ts";
import { DifyError } from "../../scripts/dify/errors.ts";
import { closeAll } from "../../scripts/dify/http.ts";
import type { SdModel } from "../answers.ts";
import { CheckFailed } from "../failure.ts";
import { atelier } from "../hint.ts";
import type { Recipe } from "../infotext.ts";
import { findModel, shortHash } from "../models.ts";
import type { Session } from "../session.ts";

type Told = NonNullable<Session["input"]["dify"]>;

/**
 * Holds a picture to the settings' checkpoint. The WebUI answers 200 to a name that it does not know and draws with what it has, and a
 * .ckpt of the same stem takes a bare name over. In an app that somebody edited another one is theirs, and only said.
 * @param checkpoints what the WebUI has
 * @returns a sentence about another checkpoint, or nothing
 * @throws {CheckFailed}
 */
export async function requireCheckpoint(
  session: Session,
  app: Told["apps"][number],
  { model, modelHash }: Recipe,
  checkpoints: readonly SdModel[],
): Promise<string> {
  const { model: file, modelSha256 } = session.input;
  const wanted = findModel(checkpoints, file);
  const sha256 = modelSha256 ?? wanted?.sha256;
  const hash = sha256 ? shortHash(sha256) : wanted?.hash;
  if (hash !== undefined && (hash === modelHash || hash === null)) return "";
  let untold = "";
  const named = await namedBy(session.input.dify!, app).catch((error: unknown) => {
    if (!(error instanceof DifyError)) throw error;
    untold = `Whether somebody chose it in the app, Dify's console did not tell: ${error.message}`;
    return undefined;
  });
  if (named !== undefined && named !== file && named !== stem(file))
    return ` Its tool was told in Dify's console to draw with ${named || "no checkpoint of its own"}, where the settings have ${file}.`;
  throw new CheckFailed(
    `The picture was drawn by ${model} [${modelHash}], not by ${file} [${hash ?? "which this WebUI does not have"}]`,
    untold ||
      `The WebUI takes a name that it does not know without a word, and a .ckpt beside a .safetensors of the same name takes its place: look at what lies in its folder of checkpoints, and run ${atelier("up")} again`,
  );
}

/** As the tool names a checkpoint: see modelName in stacks/dify/apps.ts. */
const stem = (file: string): string => file.replaceAll("/", "_").replace(/\.[^./]+$/, "");

interface ToolCall {
  tool_name?: string;
  tool_parameters?: { model?: unknown };
  tool_configurations?: { model?: { value?: unknown } };
}
interface AgentDetail {
  model_config: { agent_mode?: { tools?: ToolCall[] } } | null;
}
interface Published {
  graph: { nodes: { data: ToolCall }[] };
}

/** The checkpoint that an app's tool names now; undefined where nobody can look. Asked of the console in this rare case alone. */
async function namedBy({ url, admin }: Told, { appId, mode }: Told["apps"][number]): Promise<string | undefined> {
  if (!admin || !appId) return undefined;
  const console = new Console({ url, ...admin });
  try {
    await console.login();
    const calls =
      mode === "agent-chat"
        ? (await console.get<AgentDetail>(`/apps/${appId}`)).model_config?.agent_mode?.tools
        : (await console.get<Published | null>(`/apps/${appId}/workflows/publish`))?.graph.nodes.map(
            ({ data }) => data,
          );
    const call = calls?.find(({ tool_name }) => tool_name === "stable_diffusion");
    if (!call) return undefined;
    return String(call.tool_parameters?.model ?? call.tool_configurations?.model?.value ?? "");
  } finally {
    await closeAll();
  }
}
