# The tools that steps use: a Python, uv with its indexes, progress of a child, who listens on a port.

# conda_roots: where rented boxes keep conda, also where it is not on PATH.
conda_roots() {
  for _root in "$REAL_HOME" /root /opt /environment /home/featurize /usr/local; do
    for _name in miniconda3 anaconda3 miniforge3 mambaforge conda miniconda; do
      [ ! -d "$_root/$_name" ] || printf '%s\n' "$_root/$_name"
    done
  done | sort -u
}

# all_pythons: every Python worth asking, a path a line, in the order in which they are preferred.
all_pythons() { list_pythons | awk '!seen[$0]++'; }

list_pythons() {
  : "${REAL_HOME:=${HOME:-/root}}"
  for _name in python3.10 python3.11 python3.12 python3.13 python3.14 python3 python; do
    _p=$(command -v $_name 2>/dev/null) || continue
    case $_p in
      # A shim of pyenv is a script of a tenth of a second that may know no such version; what it would run lies beside.
      */shims/python3) ;;
      */shims/*)
        for _p in "${_p%/shims/*}"/versions/*/bin/"$_name"; do
          [ ! -x "$_p" ] || printf '%s\n' "$_p"
        done
        ;;
      *) printf '%s\n' "$_p" ;;
    esac
  done
  for _p in "${PYENV_ROOT:-$REAL_HOME/.pyenv}"/versions/*/bin/python /opt/pyenv/versions/*/bin/python; do
    [ ! -x "$_p" ] || printf '%s\n' "$_p"
  done
  conda_roots | while read -r _root; do
    for _p in "$_root"/bin/python "$_root"/envs/*/bin/python; do
      [ ! -x "$_p" ] || printf '%s\n' "$_p"
    done
  done
  for _p in "$WORKSPACE"/tools/python/*/bin/python3 "$WORKSPACE"/tools/conda/bin/python; do
    [ ! -x "$_p" ] || printf '%s\n' "$_p"
  done
}

# any_python: one that can run our own helpers (3.8 or later, standard library only); 1 when there is none.
any_python() {
  for _p in "$WORKSPACE/venv/bin/python" $(all_pythons); do
    if [ -x "$_p" ] && "$_p" -c 'import sys, ssl; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
      printf '%s' "$_p"
      return 0
    fi
  done
  return 1
}

# with_progress WHAT FOLDER|- COMMAND...: runs it, with a line every 2 s: what the folder holds, or what the process wrote.
with_progress() {
  _what=$1
  _folder=$2
  shift 2
  now
  _p0=$NOW
  _next=200
  "$@" &
  _child=$!
  started "$_child"
  _child_start=$START
  _p1=0
  while alive "$_child" "$_child_start"; do
    if [ "$_p1" -gt 200 ]; then nap; else nap 0.05; fi
    now
    _p1=$((NOW - _p0))
    if [ "$_p1" -ge "$_next" ]; then
      if [ "$_folder" = - ]; then
        _mb=$(sed -n 's/^wchar: //p' "/proc/$_child/io" 2>/dev/null || :)
        _mb=$((${_mb:-0} / 1000000))
        # What is unpacked is more than what came over the line.
        _kind='MB written to the disk'
      else
        _mb=$(du -sk "$_folder" 2>/dev/null | cut -f1)
        _mb=$((${_mb:-0} / 1000))
        _kind=MB
      fi
      say "$_what: $_mb $_kind, $((_p1 / 100)) s"
      machine "\"mb\":$_mb,\"seconds\":$((_p1 / 100))"
      _next=$((_p1 + 200))
    fi
  done
  wait "$_child"
}

# machine JSON: progress in its machine form, into a job's log; not shown.
machine() { [ -z "${IN_JOB:-}" ] || printf '@{"step":"%s",%s}\n' "$STEP" "$1" >&2; }

# with_index WHAT FOLDER|- COMMAND...: runs uv or pip once for each index of the input pypi, the best first, until it succeeds. INDEX is the one that did.
# One index at a time: a dead or stale mirror then fails as a whole instead of being mixed with the next.
# `default` is the client's own, `offline` none: what was laid into cache/wheels, and what is cached.
with_index() {
  _indexes=$(input pypi | rank_urls)
  for INDEX in ${_indexes:-default}; do
    if (index_env "$INDEX" && with_progress "$@"); then return 0; fi
    say "that failed with the index $INDEX"
  done
  return 1
}

# with_cached_index WHAT FOLDER|- COMMAND...: first from the cache alone, so that what came once asks nobody; then as with_index. INDEX is `cache`, or the index.
# uv keeps what it has by the index that it came from: those that served before are remembered beside it.
with_cached_index() {
  for _known in $({ input pypi | rank_urls && cat "$UV_CACHE_DIR/indexes" 2>/dev/null; } | awk '!seen[$0]++'); do
    INDEX=cache
    if (index_env "$_known" && export UV_OFFLINE=1 PIP_NO_INDEX=1 && with_progress "$@" >"$RUN/offline.log" 2>&1); then return 0; fi
  done
  with_index "$@" || return 1
  mkdir -p "$UV_CACHE_DIR"
  grep -qxF "$INDEX" "$UV_CACHE_DIR/indexes" 2>/dev/null || printf '%s\n' "$INDEX" >>"$UV_CACHE_DIR/indexes"
}

# index_env INDEX: the environment that makes uv and pip use it.
index_env() {
  _own=$(own_index)
  unset UV_DEFAULT_INDEX UV_INDEX_URL UV_OFFLINE PIP_INDEX_URL PIP_NO_INDEX
  if ls "$CACHE"/wheels/*.whl >/dev/null 2>&1; then export UV_FIND_LINKS="$CACHE/wheels"; fi
  case $1 in
    default) [ -z "$_own" ] || export UV_DEFAULT_INDEX="$_own" PIP_INDEX_URL="$_own" ;;
    offline) export UV_OFFLINE=1 PIP_NO_INDEX=1 PIP_FIND_LINKS="$CACHE/wheels" ;;
    *) export UV_DEFAULT_INDEX="$1" PIP_INDEX_URL="$1" ;;
  esac
  # pip leaves out an index without TLS, without failing; the settings name it, and every file is held to its hash.
  case ${PIP_INDEX_URL:-} in
    http://*)
      _named=${PIP_INDEX_URL#http://}
      export PIP_TRUSTED_HOST="${_named%%/*}"
      ;;
  esac
}

# own_index: the box's own index, where it has one; uv would not look where pip does.
own_index() { printf '%s' "${PIP_INDEX_URL:-$(sed -n 's/^ *index-url *= *//p' /etc/pip.conf 2>/dev/null | head -n 1)}"; }

# port_owner PORT: `PID NAME` of the process that listens on it; `? unknown` when it can't be seen; empty when the port is free.
port_owner() {
  _hex=$(printf '%04X' "$1")
  _inode=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v p=":$_hex\$" '$4 == "0A" && $2 ~ p { print $10; exit }')
  [ -n "$_inode" ] || return 0
  # One process for all descriptors: a box has thousands.
  _fd=$(find /proc/[0-9]*/fd -lname "socket:\\[$_inode\\]" -print -quit 2>/dev/null) || :
  if [ -n "$_fd" ]; then
    _pid=${_fd#/proc/}
    _pid=${_pid%%/*}
    printf '%s %s' "$_pid" "$(tr '\0' ' ' 2>/dev/null <"/proc/$_pid/cmdline" | cut -c 1-120)"
    return 0
  fi
  printf '? unknown (another user'\''s)'
}

# port_open PORT: somebody listens on it.
port_open() { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v p=":$(printf '%04X' "$1")\$" '$4 == "0A" && $2 ~ p { f = 1 } END { exit !f }'; }

# own_service OWNER: the words of port_owner are of this workspace's own WebUI, or of its gate.
own_service() { { service_pids && gate_pids; } | grep -qx "${1%% *}"; }

# service_pids: this workspace's WebUI processes, `python <workspace>/bin/webui_start.py ...`, a pid a line.
service_pids() { pids_of "$WORKSPACE/bin/webui_start.py"; }

# gate_pids: this workspace's gate, `python <workspace>/bin/gate.py ...`.
gate_pids() { pids_of "$WORKSPACE/bin/gate.py"; }

# pids_of SCRIPT: the processes that run this script of an interpreter.
pids_of() {
  for _file in $(grep -lF "$1" /proc/[0-9]*/cmdline 2>/dev/null); do
    _pid=${_file#/proc/}
    _pid=${_pid%/cmdline}
    # The grep above, and a shell that was told of it, name it too, but not as their first argument.
    [ "$(tr '\0' '\n' 2>/dev/null <"$_file" | sed -n 2p)" = "$1" ] || continue
    started "$_pid"
    [ -z "$START" ] || printf '%s\n' "$_pid"
  done
}

# compiled HASH: where Python keeps what it has compiled of a venv, for the next one at this path: the half of the time that torch takes to load.
# By what is installed (HASH, as in venv/.atelier-wheels): Python tells two texts apart by size and second alone.
compiled() { printf '%s/pyc/%.16s' "$CACHE" "$1"; }
