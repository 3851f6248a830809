import { text } from "node:stream/consumers";
import { z } from "zod";
import { messageOf } from "../cli/errors.ts";
import { destroy, type Order, type Rental, rent } from "./rental.ts";

/**
 * Behind the resource `rent` (stacks/rent.ts): the user's commands, with care. `create` prints the rental as one line of JSON;
 * `again` prints what it printed then; `destroy` ends it. The order is JSON on standard input; API keys come by the environment.
 */
const orderSchema = z.strictObject({
  stack: z.string().regex(/^[\w-]+$/),
  create: z.union([z.string(), z.array(z.string())]),
  destroy: z.union([z.string(), z.array(z.string())]),
  timeout: z.number(),
  limit: z.number().optional(),
  user: z.string(),
});

async function main(what: string | undefined): Promise<void> {
  const said = process.env.PULUMI_COMMAND_STDOUT ?? "";
  // What the resource printed goes to `destroy` by standard input: an environment is handed on to every child.
  for (const name of ["PULUMI_COMMAND_STDOUT", "PULUMI_COMMAND_STDERR"]) delete process.env[name];
  const order: Order = orderSchema.parse(JSON.parse(await text(process.stdin)));
  if (what === "create") await rent(order, tell);
  else if (what === "again") process.stdout.write(`${said}\n`);
  else if (what === "destroy") await destroy(order, said);
  else throw new Error(`wanted: create, again or destroy; got: ${what ?? "nothing"}`);
}

/** An engine that was killed reads nothing, and what it did not read is in no state. */
const tell = (rental: Rental): Promise<void> =>
  new Promise((resolve, reject) =>
    process.stdout.write(`${JSON.stringify(rental)}\n`, (error) =>
      error ? reject(new Error("whoever asked for the rental is gone")) : resolve(),
    ),
  );

for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
try {
  await main(process.argv[2]);
} catch (error) {
  process.stderr.write(`error: rent: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
