import type { PropertyMap } from "../../../values.ts";
import { number, objects, text, textMap, texts } from "../plain.ts";

export interface DeviceRequest {
  Driver?: string;
  Count?: number;
  DeviceIDs?: string[];
  Capabilities?: string[][];
  Options?: Record<string, string>;
}

/** What the container asks of the host's devices: `gpus`, or `deviceRequests`. @throws for a `gpus` that nobody understands */
export function deviceRequests(inputs: PropertyMap): DeviceRequest[] | undefined {
  const gpus = text(inputs, "gpus");
  const requests = objects(inputs, "deviceRequests");
  if (gpus !== "" && requests.length > 0) throw new Error("gpus and deviceRequests can't both be given");
  if (gpus !== "") return [parseGpus(gpus)];
  if (requests.length === 0) return undefined;
  return requests.map((request) => ({
    Driver: text(request, "driver"),
    Count: number(request, "count"),
    DeviceIDs: texts(request, "deviceIds"),
    Capabilities: texts(request, "capabilities") ? [texts(request, "capabilities") as string[]] : undefined,
    Options: textMap(request, "options"),
  }));
}

/** `all`, `2`, `device=0,2`, `driver=nvidia,capabilities=compute`, as `docker run --gpus` takes them. */
export function parseGpus(value: string): DeviceRequest {
  const given = value
    .trim()
    .replace(/^(["'])(.*)\1$/, "$2")
    .replace(/^(["'])(.*)\1$/, "$2");
  const request: DeviceRequest = { Capabilities: [["gpu"]] };
  // A text without = continues the list of the key before it: device=0,2.
  let key = "count";
  for (const part of given.split(",").map((word) => word.trim().replace(/^["']|["']$/g, ""))) {
    const equals = part.indexOf("=");
    if (equals >= 0) key = part.slice(0, equals);
    const word = part.slice(equals + 1);
    if (key === "count") request.Count = word === "all" ? -1 : Number(word);
    else if (key === "device") request.DeviceIDs = [...(request.DeviceIDs ?? []), word];
    else if (key === "driver") request.Driver = word;
    else if (key === "capabilities") request.Capabilities = [[word, ...(request.Capabilities?.[0] ?? ["gpu"])]];
    else throw new Error(unknown(value));
  }
  if (request.Count !== undefined && !(Number.isInteger(request.Count) && request.Count >= -1))
    throw new Error(unknown(value));
  if (request.Count === undefined && request.DeviceIDs === undefined) request.Count = 1;
  return request;
}

/** As the state has it; undefined: no text can say it. */
export function formatGpus(requests: DeviceRequest[] | null | undefined): string | undefined {
  if (!requests || requests.length === 0) return "";
  const [only, ...more] = requests;
  if (only === undefined || more.length > 0) return undefined;
  if (only.DeviceIDs && only.DeviceIDs.length > 0) return `device=${only.DeviceIDs.join(",")}`;
  return only.Count === -1 ? "all" : undefined;
}

function unknown(value: string): string {
  return `gpus is ${JSON.stringify(value)}; it can be "all", a number, or "device=0,2" (with driver=… and capabilities=… where wanted)`;
}
