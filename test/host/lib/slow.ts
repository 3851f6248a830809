import type { Workspace } from "./workspace.ts";

/** A long step for the tests of jobs: counts its runs, says a line, and one more every 0.1 s until the file `go` is there, fails or hangs as told. */
export function addSlowStep(workspace: Workspace): void {
  workspace.script(
    "41-slow.sh",
    `#!/bin/sh
. "$(dirname "$0")/lib.sh"
step_check() { :; }
step_remove() { :; }
step_apply() {
  printf '%s\\n' "$$" >>"$WORKSPACE/run/runs"
  n=0
  while :; do
    n=$((n + 1))
    say "line $n of $(input what)"
    machine "\\"n\\":$n"
    [ ! -f "$WORKSPACE/run/go" ] || break
    nap 0.1
  done
  [ "$(input what)" != failure ] || die "it went wrong"
  fact what "$(input what)"
}
run_job "$@"
`,
  );
}
