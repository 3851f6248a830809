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

# hold LOCK PID: writes who holds it; 1 when that can't be written.
hold() {
  _from=${SSH_CONNECTION:-local}
  {
    printf 'pid=%s\nstart=%s\nsince=%s\nfrom=%s\n' "$2" "$(proc_start "$2")" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${_from%% *}" >"$1/holder.$2" &&
      mv "$1/holder.$2" "$1/holder"
  } 2>/dev/null || {
    rm -f "$1/holder.$2"
    return 1
  }
}

# who_holds LOCK: in words.
who_holds() {
  _pid=$(holder "$1" pid)
  if [ -z "$_pid" ]; then printf 'a process that has not written its name'; else printf 'process %s, since %s, from %s' "$_pid" "$(holder "$1" since)" "$(holder "$1" from)"; fi
}

# try_lock LOCK: takes it, or clears it when its holder is dead (then takes it); 1 when a living process holds it.
try_lock() {
  if ! make_lock "$1"; then
    if lock_dead "$1"; then clear_lock "$1"; fi
    make_lock "$1" || return 1
  fi
  if hold "$1" $$; then return 0; fi
  rm -rf "$1"
  blame_disk 1 "$(dirname "$1")"
  die "can't write into $1, the lock of this step: see to its disk, and run again"
}

# make_lock LOCK: 0 when it was made, 1 when it was there. Whatever else is in the way, a full disk for one, is no reason to wait.
make_lock() {
  if _said=$(LC_ALL=C mkdir "$1" 2>&1); then return 0; fi
  case $_said in
    *'No such file'*)
      mkdir -p "$(dirname "$1")" 2>/dev/null || :
      if _said=$(LC_ALL=C mkdir "$1" 2>&1); then return 0; fi
      ;;
  esac
  case $_said in *'File exists'*) return 1 ;; esac
  blame_disk 1 "$(dirname "$1")"
  die "can't make $1, the lock of this step: $_said"
}

# lock_dead LOCK: it is there and its holder is not. Without a holder's name it is being taken: that takes no half minute, on a busy box either.
# A file without a name in it is what a full disk leaves.
lock_dead() {
  [ -d "$1" ] || return 1
  _pid=$(holder "$1" pid)
  if [ -z "$_pid" ]; then
    now
    _t0=$NOW
    while [ -d "$1" ] && [ -z "$(holder "$1" pid)" ]; do
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
  if make_lock "$1.clearing"; then
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
  _pid=$(holder "$1" pid)
  [ "$_waited" -lt "$3" ] ||
    die "busy: $(who_holds "$1") is at work on this step; waited ${_waited} s. Let it end, or end it${_pid:+ (kill $_pid)}, and run again" 75
  if [ $((_waited - _told)) -ge 10 ]; then
    say "waiting for $(who_holds "$1") (${_waited} s of $3 s)"
    _told=$_waited
  fi
}

drop_lock() {
  [ "$(holder "$1" pid)" != $$ ] || rm -rf "$1"
}
