import { maskValue } from "../masking.ts";
import type { Snapshot } from "../resource.ts";
import { STACK_TYPE } from "../urn.ts";
import { type PropertyMap, Unknown } from "../values.ts";
import { containsSecret, containsUnknown, unwrapSecrets } from "./steps/marking.ts";

/** The stack's outputs in clear, each with whether it is a secret. */
export function outputsOf(snapshot: Snapshot): Record<string, { value: unknown; secret: boolean }> {
  const stack = snapshot.resources.find((state) => state.type === STACK_TYPE && !state.delete);
  return plainOutputs(stack?.outputs ?? {});
}

function plainOutputs(outputs: PropertyMap): Record<string, { value: unknown; secret: boolean }> {
  return Object.fromEntries(
    Object.entries(outputs).map(([key, output]) => {
      const plain = unwrapSecrets(output);
      const value = plain instanceof Unknown || containsUnknown(plain) ? undefined : maskValue(plain);
      return [key, { value, secret: containsSecret(output) }];
    }),
  );
}
