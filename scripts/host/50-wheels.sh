#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh lib-upstreams.sh wheels_check.py wheels_files.py
# The packages of the lock, every file by its hash, by uv; then what must be built from a pinned checkout (CLIP).
# Inputs: lock_name, lock (requirements with hashes), pypi (index URLs, tried one after the other), builds (name, folder below src/), python (a change applies again: venv may be another), proxy.
. "$(dirname "$0")/lib.sh"

VENV_RECORD=venv/.atelier-wheels

# wanted: what stands for all that is installed: the lock, and the commits that builds are made from.
wanted() {
  {
    input lock
    input builds
    input builds | while IFS='	' read -r _name _from; do
      [ -z "$_name" ] || cat "$(source_of "$_from")/.git/HEAD" 2>/dev/null || echo none
    done
  } | hash_text
}

source_of() {
  case $1 in
    /* | *..*) die "builds: $1 is not a folder below src/" 2 ;;
    *) printf '%s' "$WORKSPACE/src/${1#src/}" ;;
  esac
}

# records: the packages that are in venv, and their versions, by their records.
records() { (cd "$WORKSPACE/venv" && find lib/python*/site-packages -maxdepth 2 -path '*.dist-info/METADATA' | sort) 2>/dev/null; }
count() { records | wc -l; }

# damaged: the packages of which files are gone or cut.
damaged() {
  for _site in "$WORKSPACE"/venv/lib/python*/site-packages; do "$WORKSPACE/venv/bin/python" -ISB "$BIN/wheels_files.py" "$_site"; done
}

# in_place: the venv is what was installed, of what is wanted; else WHY not.
in_place() {
  WHY="the lock was never installed into this venv"
  { read -r _hash _records _lying <"$WORKSPACE/$VENV_RECORD"; } 2>/dev/null || return 1
  WHY="venv was installed from another lock"
  [ "$_hash" = "$(wanted)" ] || return 1
  WHY="venv has other packages, or of other versions, than were installed"
  [ "$_records" = "$(records | hash_text)" ] || return 1
  _damaged=$(damaged | paste -sd, -)
  WHY="files are gone or cut in venv, of $_damaged"
  # What was so when it had just come has a record that lies.
  [ "$_damaged" = "$_lying" ]
}

step_check() {
  [ -x "$WORKSPACE/venv/bin/python" ] || drifted "venv is not there"
  in_place || drifted "$WHY"
}

step_apply() {
  UV=$WORKSPACE/tools/bin/uv
  [ -x "$UV" ] && [ -x "$WORKSPACE/venv/bin/python" ] || die "uv or venv is missing in $WORKSPACE: the step python makes them; run up again"
  _wanted=$(wanted)
  # For the builds and what is loaded to see that it can be.
  export PYTHONDONTWRITEBYTECODE='' PYTHONPYCACHEPREFIX="$(compiled "$_wanted")"
  if in_place && check_versions 2>/dev/null; then
    fact lock "$(input lock_name)"
    fact_json packages "$(count)"
    fact_json installed false
    tell_items 0 cache
    return 0
  fi
  rm -f "$WORKSPACE/$VENV_RECORD"
  input lock >"$RUN/lock.txt"
  printf '\n' >>"$RUN/lock.txt"
  build_constraints
  choose_link_mode
  say "installing $(grep -c '^[A-Za-z0-9]' "$RUN/lock.txt") packages of $(input lock_name)"
  unpacked >"$RUN/before"
  take_damaged
  install_lock
  if [ -n "$(damaged)" ]; then
    say "the cache has them so, too: fetching them anew"
    "$UV" cache clean -q $(damaged) || :
    take_damaged
    install_lock
  fi
  unpacked | comm -13 "$RUN/before" - >"$RUN/came"
  # Unpacked anew, and not come from anywhere, where they lay in cache/wheels.
  case $_source in cache | offline) _came=0 ;; *) _came=$(bytes_came) ;; esac
  rm -f "$RUN/before" "$RUN/came"
  # Loading torch takes seconds, and what is built is not of the lock.
  check_versions 2>"$RUN/checked" &
  _checking=$!
  build_all
  wait $_checking || {
    cat "$RUN/checked" >&2
    die "the packages in venv are not those of $(input lock_name), or do not load on this host: see above"
  }
  printf '%s %s %s\n' "$_wanted" "$(records | hash_text)" "$(damaged | paste -sd, -)" >"$WORKSPACE/$VENV_RECORD"
  fact lock "$(input lock_name)"
  fact_json packages "$(count)"
  fact_json installed true
  tell_items "$_came" "$_source"
}

# install_lock: all that it has, and nothing else. _source is where it came from.
install_lock() {
  with_cached_index uv - "$UV" pip sync -q --python "$WORKSPACE/venv/bin/python" --require-hashes --build-constraints "$RUN/build-constraints.txt" --link-mode "$_link" "$RUN/lock.txt" ||
    die "uv could not install $(input lock_name) from $(input pypi 'its default index'): see above. A hash that differs means that the index serves another file: set upstreams.pypi to another"
  _source=$INDEX
}

# take_damaged: out of venv, as what has its record there is whole to uv.
take_damaged() {
  _damaged=$(damaged)
  [ -n "$_damaged" ] || return 0
  say "files are gone or cut in venv: installing anew $(echo $_damaged)"
  "$UV" pip uninstall -q --python "$WORKSPACE/venv/bin/python" $_damaged ||
    die "uv could not take away what is damaged ($(echo $_damaged)): see above. Remove $WORKSPACE/venv on the host, and run up again"
}

# unpacked: the packages that uv's cache holds, by the folders that it unpacked them into.
unpacked() { find "$UV_CACHE_DIR" -maxdepth 3 -path '*/archive-v*/*.dist-info' 2>/dev/null | sort || :; }

# bytes_came: the download size, as the lock has it, of the packages that are new in uv's cache.
bytes_came() {
  input lock | awk '
    FNR == NR { name = $0; sub(/.*\//, "", name); sub(/-[^-]*\.dist-info$/, "", name); name = tolower(name); gsub(/[-_.]+/, "-", name); came[name] = 1; next }
    /^[A-Za-z0-9]/ { name = tolower($1); sub(/==.*/, "", name); gsub(/[-_.]+/, "-", name) }
    /^ +# bytes: / { if (name in came) sum += $3 }
    END { printf "%.0f", sum }' "$RUN/came" -
}

# tell_items BYTES SOURCE: what came over the line, and what was there.
tell_items() {
  _all=$(input lock | awk '/^ +# bytes: / { sum += $3 } END { printf "%.0f", sum }')
  _name=$(json "$(input lock_name)")
  _items=''
  [ "$1" -ge "$_all" ] || _items=",{\"name\":\"$_name\",\"kind\":\"wheels\",\"bytes\":$((_all - $1)),\"source\":\"cache\",\"cached\":true}"
  [ "$1" = 0 ] || _items="$_items,{\"name\":\"$_name\",\"kind\":\"wheels\",\"bytes\":$1,\"source\":\"$(json "$2")\",\"cached\":false}"
  fact_json fetchedBytes "$1"
  fact_json items "[${_items#,}]"
}

# build_constraints: source archives are built with the lock's own setuptools and wheel, held to their hashes; without them, with one that old packages bear.
build_constraints() {
  awk '/^(setuptools|wheel)==/ { on = 1 } on { print } on && !/\\$/ { on = 0 }' "$RUN/lock.txt" >"$RUN/build-constraints.txt"
  [ -s "$RUN/build-constraints.txt" ] || printf 'setuptools<81\n' >"$RUN/build-constraints.txt"
}

# choose_link_mode: hard links cost neither time nor room; across file systems there are none.
choose_link_mode() {
  mkdir -p "$UV_CACHE_DIR"
  : >"$UV_CACHE_DIR/.link"
  rm -f "$WORKSPACE/venv/.link"
  if ln "$UV_CACHE_DIR/.link" "$WORKSPACE/venv/.link" 2>/dev/null; then
    _link=hardlink
  else
    _link=copy
    say "cache and workspace lie on different file systems: packages are copied, not linked"
  fi
  rm -f "$WORKSPACE/venv/.link" "$UV_CACHE_DIR/.link"
  fact link_mode $_link
}

# build_all: CLIP's setup.py imports pkg_resources, which setuptools 81 dropped. Where the lock brings setuptools and wheel, they build it.
build_all() {
  _list=$(input builds)
  while IFS='	' read -r _name _from; do
    [ -n "$_name" ] || continue
    build_one "$_name" "$(source_of "$_from")" </dev/null
  done <<END
$_list
END
}

build_one() {
  [ -d "$2" ] || die "$1 is to be built from $2, which is not there: the step sources brings it; run up again"
  say "building $1"
  # In a copy: a build leaves files in its folder, and the checkout must stay as it was.
  rm -rf "$RUN/build"
  cp -R "$2" "$RUN/build"
  rm -rf "$RUN/build/.git"
  _how="--build-constraints $RUN/build-constraints.txt"
  if "$WORKSPACE/venv/bin/python" -c 'import importlib.metadata as m, sys; m.version("wheel"); sys.exit(int(m.version("setuptools").split(".")[0]) >= 81)' 2>/dev/null; then
    _how=--no-build-isolation
  fi
  with_cached_index "building $1" - "$UV" pip install -q --python "$WORKSPACE/venv/bin/python" --no-deps --reinstall-package "$1" --link-mode "$_link" $_how "$1 @ file://$RUN/build" ||
    die "$1 could not be built from $2 ($_how): see above"
  rm -rf "$RUN/build"
}

# check_versions: every package of the lock at its version, and the ones that need libraries of the host do load.
check_versions() { input lock | "$WORKSPACE/venv/bin/python" "$BIN/wheels_check.py" >&2; }

# Python itself is the step before; it takes venv away.
step_remove() {
  rm -f "$WORKSPACE/$VENV_RECORD"
  rm -rf "$WORKSPACE"/venv/lib/python*/site-packages/*
}

run_job "$@"
