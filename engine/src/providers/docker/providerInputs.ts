import { encodeSorted } from "../../json.ts";
import { type PropertyMap, type PropertyValue, Secret } from "../../values.ts";

/** Lists and booleans of a docker.Provider: the SDK sends them as JSON. */
const AS_JSON = ["disableDockerDaemonCheck", "registryAuth", "sshOpts"];

/** A docker.Provider's inputs as the official plugin writes them: JSON with its keys in order, and logins secret, as they hold passwords. */
export function dockerProviderInputs(inputs: PropertyMap): PropertyMap {
  const written: PropertyMap = { ...inputs };
  for (const key of AS_JSON) {
    const value = inputs[key];
    if (value !== undefined) written[key] = writeJson(value);
  }
  const { registryAuth } = written;
  if (typeof registryAuth === "string" && /"password":/.test(registryAuth))
    written.registryAuth = new Secret(registryAuth);
  return written;
}

function writeJson(value: PropertyValue): PropertyValue {
  if (value instanceof Secret) return new Secret(writeJson(value.element));
  if (typeof value !== "string") return value;
  try {
    // Go's encoder escapes these three as well.
    return encodeSorted(JSON.parse(value)).replace(/[<>&]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`);
  } catch {
    // Not JSON: said when the provider is used.
    return value;
  }
}
