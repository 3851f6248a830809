#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh lib-store.sh lib-cached.sh
# The workspace itself: its identity and its owner. Inputs: owner.
# `remove` takes the whole workspace but its cache, and only where it has its identity; with <workspace>/run/purge there, the cache too, but for what another workspace uses.
. "$(dirname "$0")/lib.sh"
. "$BIN/lib-store.sh"
. "$BIN/lib-cached.sh"

# Whatever lies beside these is not ours. stacks/scripts.ts refuses a folder that has some of them and no identity.
ours='bin src venv tools models data logs run'

step_check() {
  [ -s "$WORKSPACE/run/id" ] || drifted "the workspace has no identity (run/id)"
  [ -d "$CACHE" ] || drifted "the cache $CACHE is gone"
  [ -f "$CACHE/.atelier" ] || drifted "the cache $CACHE does not say any more what in it is somebody else's (.atelier)"
}

step_apply() {
  make_folders "$WORKSPACE/run" "$WORKSPACE/logs" "$WORKSPACE/data"
  if [ ! -s "$WORKSPACE/run/id" ]; then
    cat /proc/sys/kernel/random/uuid >"$WORKSPACE/run/id.new"
    mv "$WORKSPACE/run/id.new" "$WORKSPACE/run/id"
    say "made the workspace $WORKSPACE"
  fi
  note_found
  fact id "$(cat "$WORKSPACE/run/id")"
}

# note_found: what lay in the cache's folder before the first workspace, or the first bundle pushed (scripts/cli/bundle/push.ts), is
# somebody else's, whatever its name but bundle/, which is a push's. A cache of an earlier version has no such note, but uses/.
# run/workspace/found keeps it (its first line is whose): where the note alone is lost, that is right; in a cache that was cleared, all but
# what a WebUI that ran on has made is somebody's.
note_found() {
  _known=''
  [ "$(head -n 1 "$RUN/found" 2>/dev/null)" != "$CACHE" ] || _known=yes
  if [ ! -f "$CACHE/.atelier" ]; then
    if [ ! -d "$CACHE/uses" ]; then
      ls "$CACHE" | grep -vx -e bundle ${_known:+-e pyc -e xdg} || :
    elif [ -n "$_known" ]; then
      sed 1d "$RUN/found"
    fi >"$WORKSPACE/run/found"
    mv "$WORKSPACE/run/found" "$CACHE/.atelier"
  fi
  { printf '%s\n' "$CACHE" && cat "$CACHE/.atelier"; } >"$RUN/found"
}

step_remove() {
  _purge=0
  [ ! -f "$WORKSPACE/run/purge" ] || _purge=1
  if [ -n "$(service_pids)" ]; then
    die "the WebUI of this workspace still runs (process $(service_pids | tr '\n' ' ')): remove the service first (80-service.sh remove)"
  fi
  if [ ! -s "$WORKSPACE/run/id" ]; then
    leave_unclaimed
    return
  fi
  for _name in $ours; do
    # The cache may have been put into one of our folders: it stays unless it is to be purged.
    case $CACHE/ in "$WORKSPACE/$_name"/*) [ $_purge = 1 ] || continue ;; esac
    rm -rf "${WORKSPACE:?}/$_name"
  done
  _others=$(other_uses)
  if [ $_purge = 1 ] && [ -n "$_others" ]; then
    say "the cache is another workspace's too ($(while IFS= read -r _use; do head -n 1 "$_use"; done <<END
$_others
END
    )): only models that it does not name go"
    drop_compiled
    if [ -n "$(fetching_now)" ]; then
      say "models are being fetched for it right now: nothing was taken from the store; npx atelier models prune does that later"
    else
      drop_unclaimed >/dev/null
    fi
  elif [ $_purge = 1 ] && [ ! -f "$CACHE/.atelier" ]; then
    say "the cache $CACHE does not say any more what in it is somebody else's (.atelier): it stays. What is there: $(ls "$CACHE" | tr '\n' ' ')"
  elif [ $_purge = 1 ]; then
    drop_cached
    rmdir "$CACHE" 2>/dev/null || [ ! -d "$CACHE" ] || say "left in $CACHE, not ours: $(ls "$CACHE")"
  fi
  case $CACHE/ in
    "$WORKSPACE"/*) [ -d "$CACHE" ] && say "the cache stays: $CACHE" && return 0 ;;
  esac
  rmdir "$WORKSPACE" 2>/dev/null || [ ! -d "$WORKSPACE" ] || say "left in $WORKSPACE, not ours: $(ls "$WORKSPACE")"
}

# leave_unclaimed: without an identity nothing tells what is ours, but the scripts, this step's own folder, and what is empty.
leave_unclaimed() {
  say "the workspace $WORKSPACE has no identity (run/id): what is in it stays"
  rm -rf "$WORKSPACE/bin" "$RUN"
  rm -f "$HOME/.gitconfig"
  for _folder in "$HOME" "$TMPDIR" "$WORKSPACE/run" "$WORKSPACE/logs" "$WORKSPACE/data" "$WORKSPACE"; do rmdir "$_folder" 2>/dev/null || :; done
  [ ! -d "$WORKSPACE" ] || say "left in $WORKSPACE: $(ls "$WORKSPACE" | tr '\n' ' ' | sed 's/ $//')"
}

run_step "$@"
