#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh lib-upstreams.sh lib-service.sh lib-offline.sh lib-gpu.sh
# Refuses, before anything is spent, a host that can't work: every reason at once, exit code 3.
# Inputs: gpu=required|none, torch, cuda, cards (in words), min_driver, min_sm, max_sm (90: sm_90), other (build of torch) and other_min_driver,
# other_min_sm, other_max_sm, min_vram_mb, min_ram_mb, disk_mb, port, inner_port (behind a gate), listen, python, upstreams (kind, base, probe),
# upstreams_order=auto|given, owner, state (what only this clone's state has), renamed (the id of the workspace that the stack had under an earlier name), proxy;
# offline=yes|no, and then needs (name, what it is known by, which service manager wants it), bundle (base URL of a served one) and manager.
. "$(dirname "$0")/lib.sh"
. "$BIN/lib-service.sh"
. "$BIN/lib-offline.sh"
. "$BIN/lib-gpu.sh"

refuse() { printf '%s\n' "$*" >>"$RUN/refusals"; }

step_check() {
  # First, as other steps go by it.
  [ "$(input gpu required)" = none ] || same_gpus
  [ "$(cat "$WORKSPACE/run/owner" 2>/dev/null)" = "$(input owner)" ] || drifted "the workspace does not carry this stack's name"
  # Some boxes have less while they run without their GPU.
  _mb=$(memory_mb)
  [ "$_mb" -ge "$(input min_ram_mb 0)" ] || drifted "the host has $_mb MB of memory by now; wanted: $(input min_ram_mb) MB"
}

step_apply() {
  : >"$RUN/refusals"
  check_owner
  check_system
  check_gpu
  check_memory
  check_disk
  check_exec
  check_port
  check_python
  measure_upstreams
  check_needs
  if [ -s "$RUN/refusals" ]; then
    die "this host is refused, nothing was installed:
$(sed 's/^/  - /' "$RUN/refusals")" 3
  fi
  printf '%s\n' "$(input owner)" >"$WORKSPACE/run/owner.new"
  mv "$WORKSPACE/run/owner.new" "$WORKSPACE/run/owner"
  # The step config writes it.
  case $(cat "$WORKSPACE/run/state" 2>/dev/null) in
    '' | "$(input state)") ;;
    *) say "another clone of this stack, with a state of its own, brought this workspace up before; this one takes it over, with its own password" ;;
  esac
}

check_owner() {
  _have=$(cat "$WORKSPACE/run/owner" 2>/dev/null || :)
  if [ -z "$_have" ] || [ "$_have" = "$(input owner)" ]; then return 0; fi
  if [ -n "$(input renamed)" ] && [ "$(input renamed)" = "$(cat "$WORKSPACE/run/id" 2>/dev/null)" ]; then
    say "the workspace carries the name $_have; that stack was renamed to $(input owner), and so it becomes"
    return 0
  fi
  refuse "the workspace $WORKSPACE belongs to the stack $_have, not to $(input owner): set another host.workspace, or take that stack down first"
}

check_system() {
  _os=$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/os-release 2>/dev/null || :)
  _arch=$(uname -m)
  _glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/^glibc //' || :)
  fact os "$_os"
  fact arch "$_arch"
  fact glibc "$_glibc"
  [ "$(uname -s)" = Linux ] || refuse "the host runs $(uname -s); wanted: Linux"
  [ "$_arch" = x86_64 ] || refuse "the host's processor is $_arch; the locked packages are made for x86_64: choose an x86_64 box"
  if [ -z "$_glibc" ]; then
    refuse "the host has no glibc ($_os): the locked packages are manylinux ones; choose a Debian or Ubuntu image"
  elif below "$_glibc" 2.17; then
    refuse "glibc is $_glibc; wanted: 2.17 or later (choose a newer image)"
  fi
}

# below A B: version A (x.y) is older than B.
below() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t. -k1,1n -k2,2n | head -n 1)" = "$1" ] && [ "$1" != "$2" ]; }

# memory_mb: memory and swap, or what the box's control group may have of it (v2, v1): a rented box shows its whole host's.
memory_mb() {
  _mb=$(awk '/^(MemTotal|SwapTotal):/ { kb += $2 } END { printf "%d", kb / 1024 }' /proc/meminfo)
  for _file in "${CGROUP:-/sys/fs/cgroup}/memory.max" "${CGROUP:-/sys/fs/cgroup}/memory/memory.limit_in_bytes"; do
    _bytes=$(cat "$_file" 2>/dev/null) || continue
    case $_bytes in '' | *[!0-9]*) continue ;; esac
    [ $((_bytes / 1048576)) -ge "$_mb" ] || _mb=$((_bytes / 1048576))
  done
  echo "$_mb"
}

check_memory() {
  _want=$(input min_ram_mb 0)
  _mb=$(memory_mb)
  fact_json memory_mb "$_mb"
  [ "$_mb" -ge "$_want" ] ||
    refuse "the host has $_mb MB of memory, swap included; wanted: $_want MB, or the kernel ends the WebUI while it loads its checkpoint. Choose a box with more (some have less while they run without their GPU)"
}

# free_mb PATH and its file system, by the nearest folder that exists.
free_mb() { df -Pk "$1" | awk 'NR == 2 { printf "%d %s", $4 / 1024, $6 }'; }

check_disk() {
  _want=$(input disk_mb 0)
  read -r _free _mount <<END
$(free_mb "$WORKSPACE")
END
  read -r _cfree _cmount <<END
$(free_mb "$CACHE")
END
  # In a chroot without /proc df knows nothing. A full disk is found by the steps, too.
  if [ -z "$_free" ] || [ -z "$_cfree" ]; then
    say "df does not tell what is free at $WORKSPACE and $CACHE: not looked at"
    return
  fi
  fact_json disk_free_mb "$_free"
  fact_json cache_free_mb "$_cfree"
  # What is here already was counted when it came.
  _have=$(du -sk "$WORKSPACE" 2>/dev/null | cut -f1)
  _have=$((${_have:-0} / 1024))
  if [ "$_mount" = "$_cmount" ]; then
    [ $((_free + _have)) -ge "$_want" ] ||
      refuse "$WORKSPACE has $_free MB free on $_mount; wanted: $_want MB. Choose a larger disk, or set host.workspace and host.cache to one"
  elif [ $((_free + _cfree + _have)) -lt "$_want" ] || [ $((_free + _have)) -lt $((_want / 2)) ]; then
    refuse "free: $_free MB on $_mount (workspace) and $_cfree MB on $_cmount (cache); wanted: $_want MB in all, half of it for the workspace. Choose larger disks, or set host.workspace and host.cache to others"
  fi
}

# Tools and the virtual environment are started from the workspace.
check_exec() {
  printf '#!/bin/sh\n' >"$RUN/starts"
  chmod 700 "$RUN/starts"
  "$RUN/starts" 2>/dev/null ||
    refuse "no program may be started from $WORKSPACE: $(df -P "$RUN" | awk 'NR == 2 { print $6 }') is mounted noexec. Set host.workspace to a folder on another disk"
  rm -f "$RUN/starts"
}

check_port() {
  for _key in port inner_port; do
    _port=$(input $_key)
    [ -n "$_port" ] || continue
    case $_key in port) _setting=webui.port ;; *) _setting=webui.gate.innerPort ;; esac
    _who=$(port_owner "$_port")
    [ -z "$_who" ] || own_service "$_who" ||
      refuse "port $_port is taken by process $_who: $(whose "$_who")end it, or set another $_setting"
  done
}

# whose OWNER: where the words of port_owner are of another workspace's WebUI or gate, which that is, and how it is ended.
whose() {
  _ws=$(printf '%s' "$1" | sed -n 's#^[^ ]* [^ ]* \(/.*\)/bin/gate\.py.*#\1#p; s#^[^ ]* [^ ]* \(/.*\)/bin/webui_start\.py.*#\1#p')
  if [ -z "$_ws" ] || [ ! -s "$_ws/run/id" ]; then return 0; fi
  printf 'it is the workspace %s of the stack %s; take that down, ' "$_ws" "$(cat "$_ws/run/owner" 2>/dev/null || echo '?')"
}

check_python() {
  _found=''
  for _p in $(all_pythons); do
    # By their names where those tell: starting each of them takes longer than all the rest of this step.
    case $_p in
      */python3.[0-9]*) _v=${_p##*/python} ;;
      */shims/*) continue ;;
      */versions/3.[0-9]*/bin/python) _v=$(printf '%s' "${_p#*/versions/}" | cut -d/ -f1 | cut -d. -f1,2) ;;
      *) _v=$("$_p" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue ;;
    esac
    case " $_found " in *" $_v "*) ;; *) _found="$_found $_v" ;; esac
  done
  fact pythons "${_found# }"
}

step_remove() { rm -f "$WORKSPACE/run/owner" && forget_gpus; }

run_step "$@"
