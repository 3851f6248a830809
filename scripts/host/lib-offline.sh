# What a host that may fetch nothing from outside has, in its cache and in its workspace, and what a served bundle has.

# check_needs: of the input needs (a name, what it is known by, between spaces, and the service manager that alone wants it, if any) whatever is neither here nor in the bundle is a refusal.
check_needs() {
  [ -n "$(input needs)" ] || return 0
  { echo && known_here; } >"$RUN/known"
  _bundle=$(input bundle)
  if [ -n "$_bundle" ]; then
    # Whether it answers at all is asked with the other upstreams.
    ask_bundle "${_bundle}contents" >>"$RUN/known" || { rm -f "$RUN/known" && return 0; }
  fi
  _missing=$({ input needs && echo; } | awk -F'\t' -v manager="$(manager)" '
    FILENAME != "-" { known[$0] = 1; next }
    NF && ($3 == "" || $3 == manager) { n = split($2, key, " "); for (i = 1; i <= n; i++) if (key[i] in known) next; print $1 }' "$RUN/known" -)
  rm -f "$RUN/known"
  [ -n "$_missing" ] || return 0
  _list=$(printf '%s\n' "$_missing" | awk 'NR <= 30 { printf "%s%s", (NR > 1 ? ", " : ""), $0 } END { if (NR > 30) printf " and %d more", NR - 30 }')
  if [ -n "$_bundle" ]; then
    refuse "neither the bundle nor this host's cache ($CACHE) has: $_list. \`atelier bundle create\` makes the bundle whole for the settings of now"
  else
    refuse "this stack may fetch nothing (upstreams: offline), and this host's cache ($CACHE) has not: $_list. \`atelier bundle create\` and \`atelier bundle push\` bring it, or another upstreams.profile"
  fi
}

ask_bundle() {
  if command -v curl >/dev/null 2>&1; then
    curl -sSf --noproxy '*' --max-time 60 "$1" 2>/dev/null
  else
    _python=$(any_python) && "$_python" - "$1" 2>/dev/null <<'END'
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.write(opener.open(sys.argv[1], timeout=60).read().decode())
END
  fi
}

# known_here: a line each: sha256 of the store's files, commits of repositories and checkouts, packages as `name==version`.
known_here() {
  ls "$CACHE/sha256" 2>/dev/null || :
  for _repo in "$CACHE"/git/*.git; do
    cat "$_repo"/refs/atelier/* "$_repo/refs/heads/atelier" 2>/dev/null || :
    sed -n 's#^\([0-9a-f]*\) refs/\(atelier/.*\|heads/atelier\)$#\1#p' "$_repo/packed-refs" 2>/dev/null || :
  done
  find "$WORKSPACE/src" "$WORKSPACE/data/extensions" -maxdepth 5 \( -path '*/.git/HEAD' -o -path '*/.git/refs/heads/pinned' \) -exec cat {} + 2>/dev/null || :
  {
    find "$UV_CACHE_DIR" -maxdepth 3 -path '*/archive-v*/*.dist-info' 2>/dev/null || :
    find "$WORKSPACE/venv" "$WORKSPACE/tools" -maxdepth 6 -name '*.dist-info' 2>/dev/null || :
    find "$CACHE/wheels" -maxdepth 1 -type f 2>/dev/null || :
  } | as_packages
  sed -n 's/^\([a-z0-9.-]*==[^ ]*\).*/\1/p' "$WORKSPACE/tools/uv.lock" 2>/dev/null || :
}

# as_packages: standard input has a file of a package a line, a wheel, a source archive or its dist-info; standard output has `name==version`.
as_packages() {
  awk '{
    sub(/.*\//, "")
    if (sub(/\.dist-info$/, "") || sub(/\.(tar\.gz|tar\.bz2|zip)$/, "")) { if (!match($0, /-[^-]*$/)) next }
    else if (!sub(/\.whl$/, "") || !match($0, /-/)) next
    name = tolower(substr($0, 1, RSTART - 1)); version = substr($0, RSTART + 1)
    sub(/-.*/, "", version); gsub(/[-_.]+/, "-", name)
    print name "==" version
  }'
}
