import { ok, Refusal } from "./answers.ts";
import { textIn } from "./json.ts";
import { bodyOf, open, type Route } from "./router.ts";

/** The stand-in's own door: whether it runs, and the lies that it is to tell. The real one has nothing like it. */
export const controlRoutes: Route[] = [
  open("GET /control/health", ({ dify }) => ok({ stand_in: "REHEARSAL", fingerprint: dify.fingerprint })),
  open("GET /control/lies", ({ dify }) => ok({ ordered: dify.lies.ordered(), known: dify.lies.names })),
  open("POST /control/lies", (call) => {
    const body = bodyOf(call);
    try {
      call.dify.lies.order(textIn(body, "lie"), typeof body.times === "number" ? body.times : undefined);
    } catch (error) {
      throw new Refusal(400, "unknown_lie", error instanceof Error ? error.message : String(error));
    }
    return ok({ ordered: call.dify.lies.ordered() });
  }),
  open("DELETE /control/lies", ({ dify }) => {
    dify.lies.clear();
    return ok({ ordered: [] });
  }),
];
