import { atelier } from "../../healthchecks/hint.ts";
import { type Key, keysOf } from "./app/keys.ts";
import { DifyError } from "./errors.ts";
import type { Making } from "./item.ts";

/** An app's API key. Apart from the app, whose facts are told to its next run by the environment: a key belongs into none. */
export const key: Making<"key"> = {
  async apply({ console, input: { appId, keyId } }) {
    const found = (await keysOf(console, appId)).find(({ id }: Key) => id === keyId);
    if (!found)
      throw new DifyError(
        `The API key ${keyId} of the app ${appId} at ${console.url} is gone. The next ${atelier("up")} makes one.`,
      );
    return { apiKey: found.token };
  },

  /** It goes with its app, or stays with it. Before anything is taken out, this is where the login is tried, and the workspace looked at. */
  async remove() {},
};
