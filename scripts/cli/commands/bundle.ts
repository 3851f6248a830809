import { UserError } from "../errors.ts";
import type { Context } from "./command.ts";

/** `atelier bundle create|serve|push <folder>`. */
export async function bundle({ options }: Context): Promise<number> {
  throw new UserError(`bundle ${options.action}: in the making`);
}
