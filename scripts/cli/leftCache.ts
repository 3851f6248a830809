import { readFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "./errors.ts";
import { root } from "./paths.ts";
import { openSession } from "./ssh.ts";
import type { Stack } from "./stack.ts";

/** Removes what a workspace's own removal would. */
function script(workspace: string, cache: string): string {
  const own = readFileSync(join(root, "scripts", "host", "lib-cached.sh"), "utf8").replaceAll("\r\n", "\n");
  return `set -u
${own}
WORKSPACE=${quote(workspace)} CACHE=${quote(cache)}
# Without the note of what lay there before, nothing tells what is ours; with an identity, another state brought a workspace up.
[ -f "$CACHE/.atelier" ] && [ ! -s "$WORKSPACE/run/id" ] || exit 0
for use in "$CACHE"/uses/*; do
  other=$(head -n 1 "$use" 2>/dev/null) && [ -s "$other/run/id" ] && echo "used $other" && exit 0
done
drop_cached || exit 1
rmdir "$CACHE" "$WORKSPACE" 2>/dev/null
echo removed
`;
}

const quote = (path: string): string => `'${path.replaceAll("'", "'\\''")}'`;

/**
 * Removes from a host the cache that an earlier `down` left there, or that `bundle push` made.
 * @returns what to say of it; undefined: there was none of ours
 * @throws UserError where the host can't be asked
 */
export async function purgeLeftCache(stack: Stack, signal: AbortSignal): Promise<string | undefined> {
  const session = await openSession(stack).catch((error: Error) => {
    throw new UserError(
      `Nothing of the stack is left but, maybe, its cache on the host: ${error.message} If the box is gone, so is that.`,
    );
  });
  const end = () => session.close();
  signal.addEventListener("abort", end);
  try {
    const { where, workspace, cache } = session;
    const { code, stdout, stderr } = await session.run("sh -s", script(workspace, cache));
    const [said, other] = stdout.trim().split(" ");
    if (code !== 0) throw new UserError(`${where}: the cache ${cache} could not be removed: ${stderr.trim()}`);
    if (said === "used") return `The cache ${cache} on ${where} stays: the workspace ${other} there uses it too.`;
    return said === "removed" ? `Removed the cache ${cache} on ${where}.` : undefined;
  } finally {
    signal.removeEventListener("abort", end);
    session.close();
  }
}
