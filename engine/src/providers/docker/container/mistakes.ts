import type { CheckFailure } from "../../../provider.ts";
import { isMap, type PropertyMap, Unknown } from "../../../values.ts";
import { objects } from "../plain.ts";
import { parseGpus } from "./gpus.ts";
import { mounts, volumes } from "./storage.ts";
import { uploadMistake } from "./upload.ts";

/** What no single field can say about a container's inputs: said before anything is done. */
export function mistakes(inputs: PropertyMap): CheckFailure[] {
  const failures: CheckFailure[] = [];
  const tell = (property: string, reason: string | undefined) => {
    if (reason !== undefined) failures.push({ property, reason });
  };
  if (given(inputs.gpus) && given(inputs.deviceRequests)) tell("gpus", "can't be given together with deviceRequests");
  if (inputs.rm === true && inputs.attach === true) {
    tell(
      "rm",
      "removes the container as soon as it ends, which attach waits for: nothing would be left to manage. Leave out one of them",
    );
  }
  if (typeof inputs.gpus === "string")
    tell(
      "gpus",
      thrown(() => parseGpus(inputs.gpus as string)),
    );
  for (const key of ["volumes", "mounts"] as const) {
    const entries = objects(inputs, key);
    entries.forEach((entry, index) => {
      if (Object.values(entry).some((value) => value instanceof Unknown)) return;
      tell(
        `${key}[${index}]`,
        thrown(() => (key === "volumes" ? volumes : mounts)({ [key]: [entry] })),
      );
    });
  }
  objects(inputs, "uploads").forEach((entry, index) => {
    if (Object.values(entry).some((value) => value instanceof Unknown)) return;
    tell(`uploads[${index}]`, uploadMistake(entry));
  });
  if (Array.isArray(inputs.envs)) {
    inputs.envs.forEach((line, index) => {
      if (typeof line === "string" && !/^[^=]+=/s.test(line)) tell(`envs[${index}]`, "expected NAME=value");
    });
  }
  return failures;
}

function given(value: unknown): boolean {
  return (
    value !== undefined &&
    value !== null &&
    value !== "" &&
    !(Array.isArray(value) && value.length === 0) &&
    !(isMap(value as never) && Object.keys(value as object).length === 0)
  );
}

function thrown(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
