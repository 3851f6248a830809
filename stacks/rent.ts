import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { HostSettings } from "./schema/host.ts";
import type { Host, Jump } from "./settings.ts";

/** What a rental says of its box, as `scripts/rent/main.ts` has checked it. */
interface Rental {
  host: string;
  port: number;
  user: string;
  hostKey: string;
  password?: string;
  privateKey?: string;
  publicUrl?: string;
}

export interface Target {
  host: Host;
  /** Where the rental says that the WebUI is reached; empty where it does not, or where nothing is rented. */
  publicUrl: pulumi.Output<string>;
  /** With `exposure: tunnel`, the SSH host on whose loopback the WebUI is: the host itself, or the Docker host; none where that is this machine. */
  tunnel: Host | Jump | undefined;
}

/**
 * The host to work on: the settings' own, or one that is rented by this very update (`host.rent`). The rental is a resource:
 * `up` rents once, `down` ends it. A changed `create` is for the next rental: the update in place only tells again what the first one said.
 */
export function hostOf(settings: HostSettings, host: Host): Omit<Target, "tunnel"> {
  if (settings.kind !== "ssh" || !settings.rent) return { host, publicUrl: pulumi.output("") };
  const { create, destroy, timeout } = settings.rent;
  // The program's folder is the working folder. Commands and API keys come from the control machine, never by argv.
  const run = (what: string) => `node ../scripts/rent/main.ts ${what}`;
  const rent = new command.local.Command(
    "rent",
    {
      create: run("create"),
      update: run("again"),
      delete: run("destroy"),
      stdin: JSON.stringify({ stack: pulumi.getStack(), create, destroy, timeout, user: settings.user }),
      logging: command.local.Logging.Stderr,
    },
    { additionalSecretOutputs: ["stdout"] },
  );
  const rental = rent.stdout.apply((text) => JSON.parse(text) as Rental);
  const open = <T>(pick: (rental: Rental) => T) => pulumi.unsecret(rental.apply(pick));
  const own = host.password ?? host.privateKey ?? host.agent;
  return {
    host: {
      ...host,
      address: open((said) => said.host),
      port: open((said) => said.port),
      user: open((said) => said.user),
      hostKey: open((said) => said.hostKey),
      // The login of the settings wins; else the rental's.
      ...(own === undefined
        ? {
            password: rental.apply((said) => said.password) as pulumi.Output<string>,
            privateKey: rental.apply((said) => said.privateKey) as pulumi.Output<string>,
          }
        : {}),
    },
    publicUrl: open((said) => said.publicUrl ?? ""),
  };
}
