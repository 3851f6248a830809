import { endCutOff, onItsWay } from "../rent/rental.ts";
import { hint } from "./commands/command.ts";
import { listResources } from "./engines/state.ts";
import { messageOf, UserError } from "./errors.ts";
import type { Stack } from "./stack.ts";

/** A box that is rented by `up` (`host.rent`): what is billed until `down`. */
export interface RentalState {
  /** `runs`: the state knows it. `unknown`: it is on its way this moment, or was cut off, and may be billed. */
  state: "runs" | "unknown";
  since?: string;
}

const isRental = ({ urn, type }: { urn: string; type: string }): boolean =>
  type === "command:local:Command" && urn.endsWith("::rent");

/** The resource that stands for the rental; undefined where the state has none. */
export const rentalUrn = async (stack: string): Promise<string | undefined> =>
  (await listResources(stack)).find(isRental)?.urn;

export async function rentalState({ name }: Stack): Promise<RentalState | undefined> {
  if (await rentalUrn(name)) return { state: "runs" };
  const since = onItsWay(name);
  return since === undefined ? undefined : { state: "unknown", since };
}

/** For people: that it costs money, and what ends it. */
export function rentalWords({ state, since }: RentalState, stack: string): string {
  return state === "runs"
    ? `goes on, and is billed until ${hint("down", stack)}`
    : `begun at ${since}, and not at its end: if it was cut off, it may be billed until ${hint("down", stack)}, or the next \`up\`, ends it`;
}

/**
 * Ends what a rental that was cut off may have left. Only when no update of the stack runs: its rental would be taken for one.
 * @throws UserError when the user's command fails
 */
export async function endCutOffRental({ name, settings: { host } }: Stack): Promise<void> {
  if (host.kind !== "ssh" || !host.rent) return;
  const { create, destroy, timeout } = host.rent;
  try {
    await endCutOff({ stack: name, create, destroy, timeout, user: host.user });
  } catch (error) {
    throw new UserError(messageOf(error));
  }
}
