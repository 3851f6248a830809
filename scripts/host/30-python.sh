#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh uv_unpack.py
# A Python that the settings accept, uv in tools/, and the empty virtual environment venv/.
# Inputs: python (accepted versions, in order), uv_lock (requirements with hashes) or uv (version), pypi, conda_mirror (base URLs),
# uv_python_mirror (base URLs), install=yes|no (may apt bring a Python?), proxy.
. "$(dirname "$0")/lib.sh"

accepted() { input python 3.10; }

# usable PYTHON VERSION: it is that version, 64 bit, with what the WebUI needs of the standard library.
usable() {
  "$1" -c 'import sys, ssl, zlib, ctypes, sqlite3, lzma
sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1] or sys.maxsize < 2**32)' "$2" >/dev/null 2>&1
}

# whole VERSION: the virtual environment is of that Python. It starts what stands under the path that it was made from, which may be another by now.
whole() { usable "$WORKSPACE/venv/bin/python" "$1" && [ -d "$WORKSPACE/venv/lib/python$1/site-packages" ]; }

step_check() {
  [ -x "$WORKSPACE/tools/bin/uv" ] || drifted "uv is not in tools/"
  "$WORKSPACE/tools/bin/uv" --version >/dev/null 2>&1 || drifted "tools/bin/uv does not run"
  _v=$("$WORKSPACE/venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    drifted "venv/bin/python is not there or does not run"
  accepted | tr ' ' '\n' | grep -qx "$_v" || drifted "venv is Python $_v; accepted: $(accepted | tr '\n' ' ')"
  whole "$_v" || drifted "venv starts Python $_v by now, which it was not made with, or which lacks parts of its library"
}

step_apply() {
  TRIED=''
  mkdir -p "$WORKSPACE/tools"
  choose || die "no Python $(accepted | tr '\n' ' ') on the host. Tried:$TRIED
Install one there (Ubuntu 22.04: apt-get install python3.10 python3.10-venv), or set upstreams.condaMirror or upstreams.uvPythonMirror, or accept another version (host.python)"
  [ "$_version" = 3.10 ] || say "using Python $_version ($_python); the WebUI is made for 3.10"
  install_uv
  make_venv
  fact python "$_version"
  fact path "$_python"
  fact uv "$("$WORKSPACE/tools/bin/uv" --version | cut -d' ' -f2)"
  tell_uv
}

# tell_uv: its wheel, for the report of what was fetched and what was there.
tell_uv() {
  _bytes=$(cat "$CACHE"/wheels/uv-*.whl 2>/dev/null | wc -c)
  _source=${UV_FROM:-cache}
  if [ "$_source" = cache ]; then _cached=true; else _cached=false; fi
  if [ $_cached = true ]; then fact_json fetchedBytes 0; else fact_json fetchedBytes "$_bytes"; fi
  fact_json items "[{\"name\":\"uv\",\"kind\":\"tool\",\"bytes\":$_bytes,\"source\":\"$(json "$_source")\",\"cached\":$_cached}]"
}

tried() {
  TRIED="$TRIED
  - $*"
}

# choose: sets _python and _version, by the first accepted version that can be had in any way.
choose() {
  for _version in $(accepted); do
    for _python in $(all_pythons); do
      if usable "$_python" "$_version"; then
        # A shim of pyenv is a script that looks into the user's folders each time.
        _python=$("$_python" -c 'import sys; print(sys.executable)')
        return 0
      fi
    done
  done
  tried "on PATH, in pyenv and conda: $(for _p in $(all_pythons); do printf '%s (%s) ' "$_p" "$("$_p" -V 2>&1 | head -n 1)"; done)"
  for _version in $(accepted); do
    from_apt && return 0
    from_conda && return 0
    from_uv && return 0
  done
  return 1
}

from_apt() {
  if [ "$(input install no)" != yes ] || [ "$(id -u)" != 0 ] || ! command -v apt-cache >/dev/null 2>&1; then
    tried "apt for $_version: not allowed, not root, or no apt here"
    return 1
  fi
  if ! apt-cache show "python$_version-venv" >/dev/null 2>&1; then
    tried "apt: has no python$_version"
    return 1
  fi
  say "installing python$_version by apt"
  if DEBIAN_FRONTEND=noninteractive with_progress "apt-get install" - apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 install -y --no-install-recommends \
    "python$_version" "python$_version-venv" >"$RUN/apt.log" 2>&1 </dev/null; then
    _python=$(command -v "python$_version")
    usable "$_python" "$_version" && return 0
  fi
  tried "apt-get install python$_version: $(tail -n 1 "$RUN/apt.log")"
  return 1
}

from_conda() {
  _mirrors=$(input conda_mirror | rank_urls)
  if [ -z "$_mirrors" ]; then
    tried "conda for $_version: no mirror is set"
    return 1
  fi
  _conda=$(command -v conda || for _root in $(conda_roots); do [ ! -x "$_root/bin/conda" ] || echo "$_root/bin/conda"; done | head -n 1)
  if [ -z "$_conda" ]; then
    tried "conda for $_version: a mirror is set, but there is no conda on the host"
    return 1
  fi
  for _mirror in $_mirrors; do conda_create && return 0; done
  return 1
}

conda_create() {
  say "making a Python $_version by conda from $_mirror"
  rm -rf "$WORKSPACE/tools/conda"
  if CONDA_PKGS_DIRS="$CACHE/conda" CONDARC=/dev/null with_progress conda - "$_conda" create -y -q -p "$WORKSPACE/tools/conda" \
    --override-channels -c "${_mirror%/}/pkgs/main" "python=$_version" >"$RUN/conda.log" 2>&1 </dev/null; then
    _python=$WORKSPACE/tools/conda/bin/python
    usable "$_python" "$_version" && return 0
  fi
  tried "conda create from $_mirror: $(tail -n 1 "$RUN/conda.log")"
  return 1
}

# from_uv: uv's own Pythons; uv itself needs any Python of 3.8 or later to arrive.
from_uv() {
  if ! _any=$(any_python); then
    tried "uv's Python $_version: uv comes by pip, and there is no Python 3.8 or later at all"
    return 1
  fi
  _python=$_any
  install_uv
  _mirrors=$(input uv_python_mirror | rank_urls)
  [ -n "$_mirrors" ] || tried "uv's Python $_version: no upstream is set for it"
  for _mirror in $_mirrors; do uv_python && return 0; done
  return 1
}

uv_python() {
  say "fetching Python $_version by uv from $_mirror"
  export UV_PYTHON_INSTALL_MIRROR="$_mirror" UV_PYTHON_CACHE_DIR="$CACHE/python"
  if with_progress "uv python" - "$WORKSPACE/tools/bin/uv" python install --no-bin --install-dir "$WORKSPACE/tools/python" "$_version" 2>"$RUN/uv.log"; then
    for _python in "$WORKSPACE"/tools/python/*"$_version"*/bin/python3; do
      usable "$_python" "$_version" && return 0
    done
  fi
  tried "uv python install $_version from $_mirror: $(tail -n 2 "$RUN/uv.log" | tr '\n' ' ')"
  return 1
}

# install_uv: into tools/, out of its wheel; the wheel comes by pip of any Python at hand, and stays with the downloads.
install_uv() {
  _lock=$(input uv_lock)
  [ -n "$_lock" ] || _lock="uv==$(input uv 0.13.9)"
  if [ "$(cat "$WORKSPACE/tools/uv.lock" 2>/dev/null)" = "$_lock" ] && "$WORKSPACE/tools/bin/uv" --version >/dev/null 2>&1; then return 0; fi
  say "installing uv"
  rm -rf "$WORKSPACE/tools/bin"
  printf '%s\n' "$_lock" >"$RUN/uv.txt"
  if ! unpack_uv 2>/dev/null; then
    fetch_uv
    UV_FROM=${INDEX:-pypi}
    unpack_uv || die "pip fetched uv, and its wheel is not as expected: see above"
  fi
  "$WORKSPACE/tools/bin/uv" --version >/dev/null || die "tools/bin/uv was installed and does not run on this host"
  printf '%s\n' "$_lock" >"$WORKSPACE/tools/uv.lock"
}

unpack_uv() { "$_python" "$BIN/uv_unpack.py" "$CACHE/wheels" "$RUN/uv.txt" "$WORKSPACE/tools/bin" >&2; }

fetch_uv() {
  choose_pip || die "none of these Pythons has pip, or can make a virtual environment with it: $(all_pythons | tr '\n' ' ')(last: $(tail -n 1 "$RUN/venv.log")). On Debian and Ubuntu: apt-get install python3-venv"
  with_index pip - "$_pip" -m pip download -q --only-binary :all: --no-deps -d "$CACHE/wheels" -r "$RUN/uv.txt" ||
    die "pip could not fetch uv from $(input pypi 'its default index'): see above. Set upstreams.pypi to an index that this host reaches"
  rm -rf "$RUN/pip"
}

# choose_pip: sets _pip to a Python with pip. Debian's own python3 may have neither pip nor ensurepip; another at hand may.
choose_pip() {
  for _pip in "$_python" $(all_pythons); do
    "$_pip" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null && "$_pip" -m pip --version >/dev/null 2>&1 && return 0
  done
  for _maker in "$_python" $(all_pythons); do
    "$_maker" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null || continue
    _pip=$RUN/pip/bin/python
    if "$_maker" -m venv "$RUN/pip" >"$RUN/venv.log" 2>&1; then return 0; fi
    rm -rf "$RUN/pip"
  done
  return 1
}

make_venv() {
  if whole "$_version"; then return 0; fi
  [ ! -e "$WORKSPACE/venv" ] || say "venv is broken or of another Python: made anew"
  rm -rf "$WORKSPACE/venv"
  "$WORKSPACE/tools/bin/uv" venv -q --no-project --python "$_python" "$WORKSPACE/venv" ||
    die "uv could not make $WORKSPACE/venv with $_python: see above"
}

step_remove() { rm -rf "$WORKSPACE/venv" "$WORKSPACE/tools/bin" "$WORKSPACE/tools/uv.lock" "$WORKSPACE/tools/python" "$WORKSPACE/tools/conda"; }

run_job "$@"
