# Locks that name their holder, and a process's identity that survives the reuse of its number.

# nap [SECONDS]: a short sleep, where sleep knows fractions.
nap() { sleep "${1:-0.2}" 2>/dev/null || sleep 1; }

# started PID: START is when the process began, in ticks since boot; empty when it is gone, or dead and not yet buried.
started() {
  START=''
  { read -r _stat <"/proc/$1/stat"; } 2>/dev/null || return 0
  # The name stands in brackets and may hold blanks and brackets itself.
  _stat=${_stat##*) }
  set -- $_stat
  case $1 in Z | X) return 0 ;; esac
  START=${20}
}

# proc_start PID: the same, printed.
proc_start() {
  started "$1"
  printf '%s' "$START"
}

# alive PID START: the same process is still there. No START: it was gone before it could be read.
alive() {
  [ -n "$1" ] && [ -n "$2" ] || return 1
  started "$1"
  [ "$START" = "$2" ]
}

# holder LOCK KEY: a line of the lock's holder file.
holder() {
  [ -f "$1/holder" ] || return 0
  while IFS= read -r _line; do
    case $_line in "$2="*) printf '%s\n' "${_line#*=}" ;; esac
  done 2>/dev/null <"$1/holder" || :
}

# hold LOCK PID: writes who holds it.
hold() {
  _from=${SSH_CONNECTION:-local}
  printf 'pid=%s\nstart=%s\nsince=%s\nfrom=%s\n' "$2" "$(proc_start "$2")" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${_from%% *}" >"$1/holder.$2"
  mv "$1/holder.$2" "$1/holder"
}

# who_holds LOCK: in words.
who_holds() { printf 'process %s, since %s, from %s' "$(holder "$1" pid)" "$(holder "$1" since)" "$(holder "$1" from)"; }

# try_lock LOCK: takes it, or clears it when its holder is dead (then takes it); 1 when a living process holds it.
try_lock() {
  if mkdir "$1" 2>/dev/null; then
    hold "$1" $$
    return 0
  fi
  [ -d "$1" ] || mkdir -p "$(dirname "$1")"
  if lock_dead "$1"; then clear_lock "$1"; fi
  if mkdir "$1" 2>/dev/null; then
    hold "$1" $$
    return 0
  fi
  return 1
}

# lock_dead LOCK: it is there and its holder is not. Without a holder's name it is being taken: that takes no half minute, on a busy box either.
lock_dead() {
  [ -d "$1" ] || return 1
  _pid=$(holder "$1" pid)
  if [ -z "$_pid" ]; then
    now
    _t0=$NOW
    while [ -d "$1" ] && [ ! -f "$1/holder" ]; do
      now
      [ $((NOW - _t0)) -lt 3000 ] || return 0
      nap
    done
    _pid=$(holder "$1" pid)
    [ -n "$_pid" ] || return 1
  fi
  ! alive "$_pid" "$(holder "$1" start)"
}

# clear_lock LOCK: two who find the same dead holder must not clear each other's new lock: one clears at a time, and looks again.
clear_lock() {
  if mkdir "$1.clearing" 2>/dev/null; then
    if lock_dead "$1"; then
      say "cleared the lock of $(who_holds "$1"): it is dead"
      rm -rf "$1"
    fi
    rmdir "$1.clearing" 2>/dev/null || :
  else
    # Left by one who was killed in the few milliseconds between.
    find "$1.clearing" -prune -mmin +1 -exec rmdir {} \; 2>/dev/null || :
  fi
}

# take_lock LOCK: waits, with a word, up to the input lock_wait (seconds).
take_lock() {
  _wait=$(input lock_wait 3600)
  now
  _began=$NOW
  _told=-1000
  until try_lock "$1"; do
    tell_wait "$1" "$_began" "$_wait"
    nap 0.5
  done
  # shellcheck disable=SC2064
  trap "drop_lock '$1'" EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# tell_wait LOCK BEGAN SECONDS: a line every 10 s; past the deadline, the end (75).
tell_wait() {
  now
  _waited=$(((NOW - $2) / 100))
  [ "$_waited" -lt "$3" ] ||
    die "busy: $(who_holds "$1") is at work on this step; waited ${_waited} s. Let it end, or end it (kill $(holder "$1" pid)), and run again" 75
  if [ $((_waited - _told)) -ge 10 ]; then
    say "waiting for $(who_holds "$1") (${_waited} s of $3 s)"
    _told=$_waited
  fi
}

drop_lock() {
  [ "$(holder "$1" pid)" != $$ ] || rm -rf "$1"
}
