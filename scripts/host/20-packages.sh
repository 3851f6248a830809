#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh
# System packages, by apt, only where install=yes, only as root (or with sudo that asks nothing), only what is missing.
# Inputs: packages (commands and libraries wanted, `?` behind one that would be nice to have), install=yes|no, apt_mirror (mirrors; `default` is the
# host's own lists, `offline` nothing), proxy,
# apt_wait (seconds to wait for another's apt, 900).
. "$(dirname "$0")/lib.sh"

# package_of WANTED: the apt package that brings it.
package_of() {
  case $1 in
    aria2c) echo aria2 ;;
    venv) echo python3-venv ;;
    ca-certificates) echo ca-certificates ;;
    libGL.so.1) echo libgl1 ;;
    libglib-2.0.so.0 | libgthread-2.0.so.0) echo libglib2.0-0 ;;
    libtcmalloc_minimal.so.4) echo libtcmalloc-minimal4 ;;
    cc | gcc) echo gcc ;;
    xz) echo xz-utils ;;
    *) echo "$1" ;;
  esac
}

# there WANTED: the host has it.
there() {
  case $1 in
    venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    ca-certificates) [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -s /etc/pki/tls/certs/ca-bundle.crt ] ;;
    lib*.so*)
      { PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q "^[[:space:]]*$1 "; } ||
        [ -n "$(find /lib /usr/lib /usr/lib64 /usr/local/lib -name "$1" 2>/dev/null | head -n 1)" ]
      ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

# missing_of KIND: what is not there; KIND is `wanted` or `nice`.
missing_of() {
  for _item in $(input packages); do
    case $_item in
      *\?) [ "$1" = nice ] || continue ;;
      *) [ "$1" = wanted ] || continue ;;
    esac
    there "${_item%\?}" || printf '%s\n' "${_item%\?}"
  done
}

packages_of() { for _item in $1; do package_of "$_item"; done | sort -u | tr '\n' ' '; }

step_check() {
  _missing=$(missing_of wanted)
  [ -z "$_missing" ] || drifted "missing on the host: $(echo $_missing)"
}

step_apply() {
  PATH=$PATH:/usr/sbin:/sbin
  _missing=$(missing_of wanted)
  _nice=$(missing_of nice)
  if [ -z "$_missing$_nice" ]; then
    fact_json installed '[]'
    return
  fi
  _packages=$(packages_of "$_missing")
  _reason=$(may_not)
  if [ -n "$_reason" ]; then
    [ -z "$_missing" ] ||
      die "missing on the host: $(echo $_missing); not installed: $_reason. As root there: apt-get install $_packages"
    fact_json installed '[]'
    return
  fi
  say "installing $(echo $_packages $(packages_of "$_nice"))"
  APT="-o Dpkg::Use-Pty=0 -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20"
  other_sources
  apt update || say "apt-get update failed; trying with the lists that are there"
  if [ -n "$_packages" ]; then
    apt install -y --no-install-recommends $_packages ||
      die "apt-get install $_packages failed: $(tail -n 3 "$RUN/apt.log" | tr '\n' ' ')(whole log: $RUN/apt.log). Mend apt on the host, or install them by hand, or name another mirror (upstreams.apt)"
  fi
  for _item in $_nice; do
    if apt install -y --no-install-recommends "$(package_of "$_item")"; then
      _packages="$_packages $(package_of "$_item")"
    else
      say "$_item could not be had; going on without it"
    fi
  done
  _missing=$(missing_of wanted)
  [ -z "$_missing" ] || die "apt-get installed $_packages, and still missing: $(echo $_missing)"
  _list=$(for _item in $_packages; do printf '"%s",' "$_item"; done)
  fact_json installed "[${_list%,}]"
}

# may_not: why nothing may be installed here; empty when it may.
may_not() {
  [ "$(input apt_mirror)" != offline ] || { echo "the upstreams of this stack have no packages (offline, or a bundle)" && return; }
  [ "$(input install no)" = yes ] || { echo "the settings do not allow it (host.packages)" && return; }
  command -v apt-get >/dev/null 2>&1 || { echo "this host has no apt-get" && return; }
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || echo "the login $(id -un) is not root and has no sudo without a password"
}

# other_sources: an apt mirror is used by lists of our own; /etc/apt stays as it is.
other_sources() {
  _mirror=$(input apt_mirror | rank_urls | head -n 1)
  [ "${_mirror:-default}" != default ] || return 0
  . /etc/os-release
  _parts=main
  [ "$ID" != ubuntu ] || _parts='main universe'
  mkdir -p "$CACHE/apt/lists/partial"
  for _suite in "$VERSION_CODENAME" "$VERSION_CODENAME-updates"; do
    echo "deb ${_mirror%/}/$ID $_suite $_parts"
  done >"$RUN/sources.list"
  APT="$APT -o Dir::Etc::SourceList=$RUN/sources.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$CACHE/apt/lists"
}

# apt_proxy: what apt reads its proxy from: sudo drops the environment, and everybody can read an argument.
apt_proxy() {
  _proxy=$(input proxy "$(input proxy_secret)")
  : >"$RUN/apt.conf"
  chmod 600 "$RUN/apt.conf"
  [ -z "$_proxy" ] || printf 'Acquire::http::Proxy "%s";\nAcquire::https::Proxy "%s";\n' "$_proxy" "$_proxy" >"$RUN/apt.conf"
}

# apt ARGS...: apt-get; waits, with a line every 10 s, for another's lock, and once mends an interrupted dpkg.
apt() {
  _sudo=''
  [ "$(id -u)" = 0 ] || _sudo='sudo -n'
  now
  _until=$((NOW + $(input apt_wait 900) * 100))
  _said=0
  _mended=0
  while :; do
    _code=0
    apt_proxy
    with_progress "apt-get $1" - $_sudo env LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l \
      sh -c 'log=$1 conf=$2; shift 2; exec apt-get -c "$conf" "$@" >"$log" 2>&1 </dev/null' sh "$RUN/apt.log" "$RUN/apt.conf" $APT "$@" || _code=$?
    rm -f "$RUN/apt.conf"
    [ $_code != 0 ] || return 0
    if grep -q -e 'Could not get lock' -e 'Unable to acquire the dpkg frontend lock' -e 'is another process using it' "$RUN/apt.log"; then
      _who=$(sed -n 's/.*held by process \([0-9]* ([^)]*)\).*/\1/p' "$RUN/apt.log" | head -n 1)
      now
      [ "$NOW" -lt "$_until" ] ||
        die "another apt or dpkg holds its lock${_who:+ (process $_who)}; waited $(input apt_wait 900) s. Let it end, then run again"
      [ $_said != 0 ] && [ $((NOW - _said)) -lt 1000 ] || { say "waiting for another apt or dpkg to end${_who:+ (process $_who)}" && _said=$NOW; }
      nap 1
    elif [ $_mended = 0 ] && grep -q 'dpkg --configure -a' "$RUN/apt.log"; then
      say "an earlier dpkg was interrupted; finishing it (dpkg --configure -a)"
      _mended=1
      $_sudo env LC_ALL=C DEBIAN_FRONTEND=noninteractive dpkg --configure -a >"$RUN/apt.log" 2>&1 </dev/null || return 1
    else
      return $_code
    fi
  done
}

step_remove() { say "system packages stay"; }

run_job "$@"
