#!/bin/sh
# The upstreams as this host reaches them, asked now: `sh upstreams.sh`, with the inputs of the step preflight (workspace, upstreams,
# upstreams_order, proxy) on standard input; standard output is the table as run/upstreams has it, which is renewed where there is a workspace.
. "$(dirname "$0")/lib.sh"

refuse() { say "$*"; }

read_inputs
STEP=upstreams
RUN=$(mktemp -d "$WORKSPACE/run/upstreams.XXXXXX" 2>/dev/null) || RUN=$(mktemp -d) ||
  die "no room for a temporary folder, in $WORKSPACE/run or ${TMPDIR:-/tmp}: make room on the host, and run again"
trap 'rm -rf "$RUN"' EXIT
# A host that nothing was made on yet has no workspace, and gets none by a question.
[ -d "$WORKSPACE/run" ] || { WORKSPACE=$RUN/ws && CACHE=$RUN/cache && mkdir -p "$WORKSPACE/run"; }
isolate
measure_upstreams again
cat "$WORKSPACE/run/upstreams"
