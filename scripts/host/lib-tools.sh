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
all_pythons() {
  : "${REAL_HOME:=${HOME:-/root}}"
  for _v in 3.10 3.11 3.12 3.13 3.14 3; do
    command -v "python$_v" 2>/dev/null || :
  done
  command -v python 2>/dev/null || :
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
  _p0=$(now_cs)
  _next=200
  "$@" &
  _child=$!
  _child_start=$(proc_start "$_child")
  while alive "$_child" "$_child_start"; do
    nap
    _p1=$(($(now_cs) - _p0))
    if [ "$_p1" -ge "$_next" ]; then
      if [ "$_folder" = - ]; then
        _mb=$(sed -n 's/^wchar: //p' "/proc/$_child/io" 2>/dev/null || :)
        _mb=$((${_mb:-0} / 1000000))
      else
        _mb=$(du -sk "$_folder" 2>/dev/null | cut -f1)
        _mb=$((${_mb:-0} / 1000))
      fi
      say "$_what: $_mb MB, $((_p1 / 100)) s"
      machine "\"mb\":$_mb,\"seconds\":$((_p1 / 100))"
      _next=$((_p1 + 200))
    fi
  done
  wait "$_child"
}

# machine JSON: progress in its machine form, into a job's log; not shown.
machine() { [ -z "${IN_JOB:-}" ] || printf '@{"step":"%s",%s}\n' "$STEP" "$1" >&2; }

# with_index COMMAND...: runs uv or pip once for each index URL of the input pypi, until it succeeds. No URL: the client's own default.
# The best first, by what was measured. One index at a time: a dead or stale mirror then fails as a whole instead of being mixed with the next.
with_index() {
  _urls=$(input pypi | rank_urls)
  if [ -z "$_urls" ]; then
    # pip's machine-wide setting is the box's own mirror; uv would not look there.
    _own=${PIP_INDEX_URL:-$(sed -n 's/^ *index-url *= *//p' /etc/pip.conf 2>/dev/null | head -n 1)}
    if [ -n "$_own" ]; then UV_DEFAULT_INDEX=$_own PIP_INDEX_URL=$_own with_progress "$@"; else with_progress "$@"; fi
    return
  fi
  for _url in $_urls; do
    if UV_DEFAULT_INDEX=$_url PIP_INDEX_URL=$_url with_index_env "$_url" "$@"; then return 0; fi
    say "that failed with the index $_url"
  done
  return 1
}
with_index_env() {
  export UV_DEFAULT_INDEX="$1" PIP_INDEX_URL="$1"
  shift
  with_progress "$@"
}

# port_owner PORT: `PID NAME` of the process that listens on it; `? unknown` when it can't be seen; empty when the port is free.
port_owner() {
  _hex=$(printf '%04X' "$1")
  _inode=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v p=":$_hex\$" '$4 == "0A" && $2 ~ p { print $10; exit }')
  [ -n "$_inode" ] || return 0
  for _dir in /proc/[0-9]*; do
    # A plain ls a process: readlink of each descriptor would take seconds on a busy box.
    if ls -l "$_dir/fd" 2>/dev/null | grep -q "socket:\[$_inode\]"; then
      printf '%s %s' "${_dir#/proc/}" "$(tr '\0' ' ' <"$_dir/cmdline" | cut -c 1-120)"
      return 0
    fi
  done
  printf '? unknown (another user'\''s)'
}

# port_open PORT: somebody listens on it.
port_open() { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v p=":$(printf '%04X' "$1")\$" '$4 == "0A" && $2 ~ p { f = 1 } END { exit !f }'; }

# own_service OWNER: the words of port_owner are of this workspace's own WebUI.
own_service() { service_pids | grep -qx "${1%% *}"; }

# service_pids: this workspace's WebUI processes, `python <workspace>/bin/webui_start.py ...`, a pid a line.
service_pids() { pids_of "$WORKSPACE/bin/webui_start.py"; }

# pids_of SCRIPT: the processes that run this script of an interpreter.
pids_of() {
  for _file in $(grep -lF "$1" /proc/[0-9]*/cmdline 2>/dev/null); do
    _pid=${_file#/proc/}
    _pid=${_pid%/cmdline}
    # The grep above, and a shell that was told of it, name it too, but not as their first argument.
    [ "$(tr '\0' '\n' 2>/dev/null <"$_file" | sed -n 2p)" = "$1" ] || continue
    [ -z "$(proc_start "$_pid")" ] || printf '%s\n' "$_pid"
  done
}
