import { UsageError } from "./errors.ts";

/** What lies beside the stacks' folders in `.atelier/` (docs/architecture.md). A stack of such a name would have it removed by its `down`. */
const taken = ["cache", "passphrase", "state"];

/**
 * A stack's name becomes a folder and a file name.
 * @param what the words for it, such as `--stack`
 * @throws UsageError
 */
export function checkStackName(name: string, what: string): void {
  if (!/^[A-Za-z0-9][\w-]{0,63}$/.test(name))
    throw new UsageError(`${what} is a name of letters, digits, \`-\` and \`_\`, not \`${name}\`.`);
  // Some disks make no difference of capitals.
  if (taken.includes(name.toLowerCase()))
    throw new UsageError(
      `${what} is not \`${name}\`: that is a place of Atelier's own among the stacks' folders. Any other name will do; settings that are there already: stacks/Pulumi.<another name>.yaml.`,
    );
}
