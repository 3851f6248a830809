#!/bin/sh
# uses: lib.sh lib-lock.sh lib-job.sh lib-tools.sh
# The WebUI and its repositories at pinned commits, by git, below src/. A commit proves itself, whoever serves it.
# Inputs: sources (name, into, commit, paths separated by spaces), git (base URLs), proxy.
# Always real checkouts: in a plain folder inside repositories/, git finds the WebUI's own .git and wrecks it.
. "$(dirname "$0")/lib.sh"

# each_source FUNCTION: calls it with NAME FOLDER COMMIT PATHS for each.
each_source() {
  _list=$(input sources)
  while IFS='	' read -r _name _into _commit _paths; do
    [ -n "$_name" ] || continue
    case $_into in /* | *..* | '') die "source $_name: into=$_into is not a folder below src/" 2 ;; esac
    printf '%s' "$_commit" | grep -qE '^[0-9a-f]{40}$' || die "source $_name: commit=$_commit is not a full commit" 2
    "$1" "$_name" "$WORKSPACE/src/${_into#src/}" "$_commit" "$_paths" </dev/null
  done <<END
$_list
END
}

# git_in FOLDER ARGS...: in this checkout and in no other, whatever lies around it.
git_in() {
  _tree=$1
  shift
  git --git-dir="$_tree/.git" --work-tree="$_tree" "$@"
}

step_check() { each_source check_one; }

check_one() {
  [ -d "$2" ] || drifted "$1 is not there"
  [ -d "$2/.git" ] || drifted "$1 is a plain folder, not a git checkout"
  [ "$(cat "$2/.git/HEAD" 2>/dev/null)" = "$3" ] || drifted "$1 is not at its pinned commit"
  [ -f "$2/.git/index" ] || drifted "$1 was never checked out"
  _deleted=$(git_in "$2" -c safe.directory='*' diff-files --name-only 2>/dev/null | head -n 1)
  [ -z "$_deleted" ] || drifted "$1 has changed files ($_deleted)"
}

step_apply() {
  command -v git >/dev/null 2>&1 || die "there is no git on the host: host.packages=install brings it where apt is allowed, or install it there by hand"
  mkdir -p "$WORKSPACE/src"
  DEAD=''
  COUNT=$(input sources | grep -c .) || die "the list of sources is empty" 2
  AT=0
  FETCHED=0
  each_source apply_one
  fact_json sources "$COUNT"
  fact_json fetched "$FETCHED"
}

apply_one() {
  AT=$((AT + 1))
  settle "$1" "$2" "$3" && return 0
  _new=$WORKSPACE/src/.new
  rm -rf "$_new"
  git init -q "$_new"
  fetch_commit "$1" "$_new" "$3" "$4"
  git_in "$_new" checkout -q --force --detach "$3" || die "git could not check $1 out at $3 (above); is the disk full?"
  _got=$(git_in "$_new" rev-parse HEAD)
  [ "$_got" = "$3" ] || die "$1: git rev-parse HEAD says $_got; wanted: $3"
  mkdir -p "$(dirname "$2")"
  # The WebUI's new tree must keep what lives inside it: the other repositories.
  if [ -d "$2" ]; then move_aside "$1" "$2"; fi
  mv "$_new" "$2"
  if [ -n "$ASIDE" ] && [ -d "$ASIDE/repositories" ] && [ ! -e "$2/repositories" ]; then mv "$ASIDE/repositories" "$2/repositories"; fi
  [ $CHANGED = 1 ] || rm -rf "$ASIDE"
  FETCHED=$((FETCHED + 1))
}

# settle NAME FOLDER COMMIT: 0 when the checkout is whole at its commit (or could be brought there without the network).
settle() {
  ASIDE=''
  CHANGED=1
  [ -e "$2" ] || return 1
  if [ ! -d "$2/.git" ]; then
    say "$1: $2 is a plain folder, not a git checkout (an unzipped archive?)"
    return 1
  fi
  rm -f "$2/.git/index.lock" "$2/.git/shallow.lock"
  if [ "$(git_in "$2" rev-parse HEAD 2>/dev/null)" != "$3" ]; then
    say "$1: is at $(git_in "$2" rev-parse HEAD 2>/dev/null || echo 'no commit'), wanted $3"
    # Another version of ours, as it came: nothing to keep.
    if [ -f "$2/.git/index" ] && [ -z "$(cd "$2" && git_in "$2" status --porcelain --untracked-files=no 2>&1)" ]; then CHANGED=0; fi
    return 1
  fi
  _changed=$(cd "$2" && git_in "$2" status --porcelain --untracked-files=no 2>&1)
  [ -n "$_changed" ] || return 0
  if ! printf '%s\n' "$_changed" | grep -qv '^ D'; then
    # Only deleted files: nothing of anybody's to keep.
    (cd "$2" && git_in "$2" checkout -q --force HEAD -- . 2>/dev/null) && say "$1: files were missing; restored" &&
      [ -z "$(cd "$2" && git_in "$2" status --porcelain --untracked-files=no)" ] && return 0
  fi
  say "$1: its files were changed ($(printf '%s\n' "$_changed" | head -n 3 | tr '\n' ' '))"
  return 1
}

# move_aside NAME FOLDER: nothing is deleted that somebody may have changed.
move_aside() {
  ASIDE=$WORKSPACE/src/.aside/$1-$(date -u +%Y%m%dT%H%M%SZ)
  mkdir -p "$WORKSPACE/src/.aside"
  mv "$2" "$ASIDE"
  [ $CHANGED = 0 ] || say "$1: the old folder was moved to $ASIDE"
}

# fetch_commit NAME FOLDER COMMIT PATHS: from the first upstream and path that has it.
fetch_commit() {
  _failures=''
  for _path in $4; do
    for _base in $(input git); do
      case "$DEAD " in *" $_base "*) continue ;; esac
      _url=${_base%/}/${_path#/}
      say "$AT/$COUNT $1 from $_url"
      if try_fetch "$1" "$2" "$3" "$_url"; then return 0; fi
      _failures="$_failures
  - $_url: $_why"
      say "$1: $_url: $_why"
    done
  done
  die "no upstream has $1 at $3. Tried:$_failures${DEAD:+
  - not answering:$DEAD}
Set upstreams.git to one that this host reaches, or host.proxy"
}

# try_fetch NAME FOLDER COMMIT URL: the one commit; where the server does not give single commits, everything. _why says why not.
try_fetch() {
  rm -f "$2/.git/shallow.lock"
  if run_fetch "$1" "$2" --depth 1 "$4" "$3"; then
    has_commit "$2" "$3" && return 0
  elif printf '%s' "$_why" | grep -qi -e 'not found' -e 'resolve host' -e 'refused' -e 'timed out' -e 'too slow' -e 'too long' -e 'could not read' -e 'Authentication' -e 'does not exist' -e ' 40[134]' -e ' 50[0-9]'; then
    case $_why in
      # A whole host that does not answer is not asked again for the next source.
      *'resolve host'* | *'onnection refused'* | *'onnection timed out'* | *'too long'*) DEAD="$DEAD $_base" ;;
    esac
    return 1
  fi
  say "$1: the server gives no single commit; fetching all of it"
  run_fetch "$1" "$2" "$4" '+refs/heads/*:refs/upstream/*' '+refs/tags/*:refs/tags/*' || return 1
  if ! has_commit "$2" "$3"; then
    _why="it does not have the commit $3"
    return 1
  fi
}

has_commit() { git_in "$1" cat-file -e "$2^{commit}" 2>/dev/null; }

# run_fetch NAME FOLDER ARGS...: one git fetch. A server that stalls is left after 20 s, any after 30 minutes.
run_fetch() {
  _fetch_name=$1
  _fetch_tree=$2
  shift 2
  _limit=''
  ! command -v timeout >/dev/null 2>&1 || _limit='timeout 1800'
  _code=0
  with_progress "$_fetch_name" "$_fetch_tree" env GIT_HTTP_LOW_SPEED_LIMIT=500 GIT_HTTP_LOW_SPEED_TIME=20 $_limit \
    git --git-dir="$_fetch_tree/.git" fetch -q --no-tags --update-shallow "$@" >"$RUN/git.log" 2>&1 || _code=$?
  _why=$(grep -v '^$' "$RUN/git.log" | tail -n 2 | tr '\n' ' ')
  [ $_code != 124 ] || _why="timed out (took too long)"
  return $_code
}

step_remove() { rm -rf "$WORKSPACE/src"; }

run_job "$@"
