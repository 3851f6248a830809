import { z } from "zod";

const extensionSchema = z.strictObject({
  /** Settings name it so; it is in the lock under this name. */
  name: z.string().regex(/^[\w.-]+$/),
  /** Below the data folder's `extensions/`; the WebUI calls it by this name. */
  folder: z.string().regex(/^[\w][\w.-]*$/),
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  /** Repository paths under a git upstream, tried in order. */
  paths: z.array(z.string().regex(/^[\w.-]+\/[\w.-]+\.git$/)).min(1),
  /** Wheel locks of what it imports, installed beside the WebUI's: nothing is installed at a start. */
  wheels: z.array(z.string()),
  /** What `GET /sdapi/v1/scripts` lists once it is loaded: one that failed to load is listed among the extensions all the same. */
  script: z.string().optional(),
});

export type Extension = z.infer<typeof extensionSchema>;

/** Extensions that settings may name, each at the commit that was run with this release of the WebUI. */
export const extensions: readonly Extension[] = z.array(extensionSchema).parse([
  {
    // v1.1.455
    name: "controlnet",
    folder: "sd-webui-controlnet",
    commit: "56cec5b2958edf3b1807b7e7b2b1b5186dbd2f81",
    paths: ["Mikubill/sd-webui-controlnet.git"],
    wheels: ["controlnet"],
    script: "controlnet",
  },
]);
