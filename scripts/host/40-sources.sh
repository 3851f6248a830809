#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh lib-upstreams.sh
# The WebUI and its repositories at pinned commits, by git, below src/; its extensions below data/extensions/. A commit proves itself, whoever serves it.
# What is fetched goes into bare repositories in cache/git, which outlive the workspace; the checkouts come from there.
# Inputs: sources (name, into, commit, paths separated by spaces), git (base URLs), proxy.
# Always real checkouts: in a plain folder inside repositories/, git finds the WebUI's own .git and wrecks it.
. "$(dirname "$0")/lib.sh"

# each_source FUNCTION: calls it with NAME FOLDER COMMIT PATHS for each.
each_source() {
  _list=$(input sources)
  while IFS='	' read -r _name _into _commit _paths; do
    [ -n "$_name" ] || continue
    case $_into in
      /* | *..* | '') die "source $_name: into=$_into is not a folder below src/ or data/extensions/" 2 ;;
      data/extensions/*/* | data/extensions/) die "source $_name: into=$_into is not one folder below data/extensions/" 2 ;;
      data/extensions/*) _folder=$WORKSPACE/$_into ;;
      *) _folder=$WORKSPACE/src/${_into#src/} ;;
    esac
    printf '%s' "$_commit" | grep -qE '^[0-9a-f]{40}$' || die "source $_name: commit=$_commit is not a full commit" 2
    "$1" "$_name" "$_folder" "$_commit" "$_paths" </dev/null
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

step_check() {
  each_source check_one
  _left=$(old_extensions | head -n 1)
  [ -z "$_left" ] || drifted "the extension $_left is not wanted any more"
}

# old_extensions: what was laid below data/extensions by this step, and is named no more. Other folders there are the user's.
old_extensions() {
  [ -s "$RUN/extensions" ] || return 0
  while read -r _old; do
    input sources | cut -f 2 | grep -qxF "data/extensions/$_old" || [ ! -e "$WORKSPACE/data/extensions/$_old" ] || printf '%s\n' "$_old"
  done <"$RUN/extensions"
}

# head_of FOLDER: the commit that a checkout is at, by a branch or by itself.
head_of() {
  _head=$(cat "$1/.git/HEAD" 2>/dev/null) || return 0
  case $_head in 'ref: '*) cat "$1/.git/${_head#ref: }" 2>/dev/null || : ;; *) printf '%s' "$_head" ;; esac
}

# as_extension FOLDER COMMIT PATHS: the WebUI lists no extension without a remote and a branch.
as_extension() {
  case $1 in "$WORKSPACE"/data/extensions/*) ;; *) return 0 ;; esac
  git_in "$1" update-ref refs/heads/pinned "$2"
  git_in "$1" symbolic-ref HEAD refs/heads/pinned
  git_in "$1" config remote.origin.url "$CANONICAL${3%% *}"
}

# keep_extensions: takes away those that are named no more, and remembers the others.
keep_extensions() {
  for _old in $(old_extensions); do
    CHANGED=0
    [ -z "$(cd "$WORKSPACE/data/extensions/$_old" && git_in "$PWD" status --porcelain --untracked-files=no 2>&1)" ] || CHANGED=1
    move_aside "$_old" "$WORKSPACE/data/extensions/$_old"
    [ $CHANGED = 1 ] || rm -rf "$ASIDE"
    say "the extension $_old is removed: the settings name it no more"
  done
  input sources | cut -f 2 | sed -n 's|^data/extensions/||p' >"$RUN/extensions.new"
  mv "$RUN/extensions.new" "$RUN/extensions"
}

check_one() {
  [ -d "$2" ] || drifted "$1 is not there"
  [ -d "$2/.git" ] || drifted "$1 is a plain folder, not a git checkout"
  [ "$(head_of "$2")" = "$3" ] || drifted "$1 is not at its pinned commit"
  [ -f "$2/.git/index" ] || drifted "$1 was never checked out"
  # By lengths and times alone: a disk that was moved, or copied, gives every file another number.
  _deleted=$(git_in "$2" -c safe.directory='*' -c core.checkStat=minimal -c core.trustctime=false diff-files --name-only 2>/dev/null | head -n 1)
  [ -z "$_deleted" ] || drifted "$1 has changed files ($_deleted)"
}

step_apply() {
  command -v git >/dev/null 2>&1 || die "there is no git on the host: host.packages=install brings it where apt is allowed, or install it there by hand"
  mkdir -p "$WORKSPACE/src"
  DEAD=''
  COUNT=$(input sources | grep -c .) || die "the list of sources is empty" 2
  AT=0
  FETCHED=0
  BYTES=0
  ITEMS=''
  mkdir -p "$CACHE/git"
  # Stacks on one host share the cache.
  take_lock "$CACHE/git/lock"
  each_source apply_one
  drop_lock "$CACHE/git/lock"
  keep_extensions
  use_mirror
  fact_json sources "$COUNT"
  fact_json fetched "$FETCHED"
  fact_json fetchedBytes "$BYTES"
  fact_json items "[${ITEMS#,}]"
}

# use_mirror: git of the WebUI and of its extensions goes to the best upstream too, by the private configuration that lib.sh makes.
use_mirror() {
  _best=$(input git | rank_urls | head -n 1)
  if [ "${_best:-$CANONICAL}" = "$CANONICAL" ]; then rm -f "$HOME/mirrors.gitconfig"; else instead_of "$_best" >"$HOME/mirrors.gitconfig"; fi
}

# item NAME BYTES SOURCE CACHED: for the report of what was fetched and what was there.
item() { ITEMS="$ITEMS,{\"name\":\"$(json "$1")\",\"kind\":\"git\",\"bytes\":$2,\"source\":\"$(json "$3")\",\"cached\":$4}"; }

apply_one() {
  AT=$((AT + 1))
  _bare=$CACHE/git/$1.git
  if settle "$1" "$2" "$3"; then
    as_extension "$2" "$3" "$4"
    item "$1" "$(packed "$_bare")" cache true
    return 0
  fi
  _new=$WORKSPACE/src/.new
  if ! { has_commit "$_bare" "$3" && from_cache "$1" "$_bare" "$_new" "$3"; }; then
    make_bare "$_bare"
    _had=$(packed "$_bare")
    fetch_commit "$1" "$_bare" "$3" "$4"
    # Named, so that no clean-up of git's takes it.
    git --git-dir="$_bare" update-ref "refs/atelier/$3" "$3"
    _came=$(($(packed "$_bare") - _had))
    BYTES=$((BYTES + _came))
    FETCHED=$((FETCHED + 1))
    item "$1" "$_came" "$_base" false
    from_cache "$1" "$_bare" "$_new" "$3" || die "git could not check $1 out at $3: $(tail -n 2 "$RUN/git.log" | tr '\n' ' ')Is the disk full?"
  else
    item "$1" "$(packed "$_bare")" cache true
  fi
  mkdir -p "$(dirname "$2")"
  # The WebUI's new tree must keep what lives inside it: the other repositories.
  if [ -d "$2" ]; then move_aside "$1" "$2"; fi
  mv "$_new" "$2"
  as_extension "$2" "$3" "$4"
  if [ -n "$ASIDE" ] && [ -d "$ASIDE/repositories" ] && [ ! -e "$2/repositories" ]; then mv "$ASIDE/repositories" "$2/repositories"; fi
  [ $CHANGED = 1 ] || rm -rf "$ASIDE"
}

# make_bare FOLDER: an empty repository, unless a whole one is there. Everything that is fetched becomes a pack: its size is what came over the line.
make_bare() {
  rm -f "$1/shallow.lock"
  git --git-dir="$1" rev-parse --git-dir >/dev/null 2>&1 && [ -f "$1/HEAD" ] || { rm -rf "$1" && git init -q --bare "$1"; }
  git --git-dir="$1" config fetch.unpackLimit 1
  git --git-dir="$1" config uploadpack.allowAnySHA1InWant true
}

# packed FOLDER: bytes of the repository's packs.
packed() { cat /dev/null "$1"/objects/pack/*.pack 2>/dev/null | wc -c; }

# from_cache NAME BARE NEW COMMIT: a checkout of its own, with nothing shared: the cache may go. A cache that is damaged is thrown away.
from_cache() {
  rm -rf "$3"
  git init -q "$3"
  if git --git-dir="$3/.git" fetch -q --no-tags --depth 1 --update-shallow "file://$2" "$4" >"$RUN/git.log" 2>&1 &&
    (cd "$3" && git checkout -q --force --detach "$4") >>"$RUN/git.log" 2>&1 && [ "$(git_in "$3" rev-parse HEAD)" = "$4" ]; then
    return 0
  fi
  say "$1: the cache in $2 is of no use: $(grep -v '^$' "$RUN/git.log" | tail -n 1)"
  rm -rf "$3" "$2"
  return 1
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

# fetch_commit NAME BARE COMMIT PATHS: from the first upstream and path that has it; _base is that upstream.
fetch_commit() {
  _failures=''
  _bases=$(input git | rank_urls)
  for _path in $4; do
    for _base in $_bases; do
      case "$DEAD " in *" $_base "*) continue ;; esac
      _url=${_base%/}/${_path#/}
      say "$AT/$COUNT $1 from $_url"
      if try_fetch "$1" "$2" "$3" "$CANONICAL${_path#/}"; then return 0; fi
      _failures="$_failures
  - $_url: $_why"
      say "$1: $_url: $_why"
    done
  done
  [ -n "$_bases" ] || die "$1 at $3 is not in $CACHE/git, and this stack has no upstreams (offline): \`atelier bundle push\` lays it there; or set another upstreams.profile"
  die "no upstream has $1 at $3. Tried:$_failures${DEAD:+
  - not answering:$DEAD}
Set upstreams.git to one that this host reaches, or host.proxy"
}

# try_fetch NAME BARE COMMIT URL: the one commit; where the server does not give single commits, everything. _why says why not.
try_fetch() {
  rm -f "$2/shallow.lock"
  if run_fetch "$1" "$2" --depth 1 "$4" "$3" || { damaged "$1" "$2" && run_fetch "$1" "$2" --depth 1 "$4" "$3"; }; then
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

# damaged NAME BARE: git complains of what is in the cache already, and not of what came: the cache was thrown away.
damaged() {
  printf '%s' "$_why" | grep -qi -e 'bad object' -e 'not send all necessary' -e corrupt -e 'unable to rename temporary' || return 1
  [ "$(packed "$2")" -gt 0 ] || return 1
  say "$1: the cache in $2 is of no use: $_why"
  rm -rf "$2"
  make_bare "$2"
  _had=0
}

has_commit() { [ -d "$1" ] && git --git-dir="$1" cat-file -e "$2^{commit}" 2>/dev/null; }

# The address that every pin, submodule and extension names; a private configuration sends it to the upstream that is tried.
CANONICAL=https://github.com/
instead_of() { printf '[url "%s/"]\n\tinsteadOf = %s\n' "${1%/}" "$CANONICAL"; }

# run_fetch NAME BARE ARGS...: one git fetch from _base. A server that stalls is left after 20 s, any after 30 minutes.
run_fetch() {
  _fetch_name=$1
  _fetch_bare=$2
  shift 2
  _limit=''
  ! command -v timeout >/dev/null 2>&1 || _limit='timeout 1800'
  # By HOME too: GIT_CONFIG_GLOBAL is unknown to git before 2.32, which is what Ubuntu 20.04 and Debian 11 have.
  mkdir -p "$RUN/home"
  { cat "$HOME/.gitconfig" && instead_of "$_base"; } | grep -v 'path = ' >"$RUN/home/.gitconfig"
  _code=0
  with_progress "$_fetch_name" "$_fetch_bare" env HOME="$RUN/home" GIT_CONFIG_GLOBAL="$RUN/home/.gitconfig" GIT_HTTP_LOW_SPEED_LIMIT=500 GIT_HTTP_LOW_SPEED_TIME=20 $_limit \
    git --git-dir="$_fetch_bare" fetch -q --no-tags --update-shallow "$@" >"$RUN/git.log" 2>&1 || _code=$?
  _why=$(grep -v '^$' "$RUN/git.log" | tail -n 2 | tr '\n' ' ')
  [ $_code != 124 ] || _why="timed out (took too long)"
  return $_code
}

step_remove() {
  rm -rf "$WORKSPACE/src"
  [ ! -f "$RUN/extensions" ] || while read -r _old; do rm -rf "$WORKSPACE/data/extensions/$_old"; done <"$RUN/extensions"
}

run_job "$@"
