# Jobs: a step that takes minutes runs detached from the SSH session that asked for it.
# run/<step>/{inputs,log,pid,started,exit,facts}; the lock of the step is the job's own while it runs.
# Its inputs reach it through a pipe: no secret lies in a file.

# run_job VERB: as run_step, with `apply` as a job.
run_job() {
  case ${1:-} in
    apply | check | remove | __job) read_inputs ;;
    *) die "wanted: $SELF apply|check|remove, with the inputs on standard input; got: ${1:-nothing}" 2 ;;
  esac
  case $1 in
    apply) job_apply ;;
    __job) job_body "$2" ;;
    check) check_now ;;
    remove)
      job_stop
      remove_now
      ;;
  esac
}

# job_wants: the hash of what is asked for. The token only says that it is asked for again.
job_wants() { printf '%s\n' "$INPUT" | grep -v '^token=' | hash_text; }

# job_apply: starts the job, or attaches to one that runs with the same inputs, or waits for one with others.
job_apply() {
  make_folders "$RUN"
  _wants=$(job_wants)
  _wait=$(input lock_wait 3600)
  now
  _began=$NOW
  _told=-1000
  while :; do
    if try_lock "$RUN/lock"; then
      job_start
      attach "$_id"
    elif [ "$(cat "$RUN/wants" 2>/dev/null)" = "$_wants" ] && [ -f "$RUN/pid" ]; then
      say "attaching to the job that runs already: $(who_holds "$RUN/lock")"
      attach
    else
      tell_wait "$RUN/lock" "$_began" "$_wait"
      nap 0.1
    fi
  done
}

# job_start: with the lock held. The job takes the lock over as soon as it lives.
job_start() {
  if [ -f "$RUN/pid" ] && [ ! -f "$RUN/exit" ]; then
    say "an earlier job (pid $(cat "$RUN/pid"), started $(cat "$RUN/started" 2>/dev/null)) died without a word; starting anew"
  fi
  # The last job's result stays for a follower who has not seen it yet.
  job_id
  for _file in "$RUN"/ended.*; do [ "$_file" = "$RUN/ended.$JOB" ] || rm -f "$_file"; done
  job_files || job_unstarted "its files can't be written to $RUN"
  job_id
  _id=$JOB
  if command -v setsid >/dev/null 2>&1; then
    { printf '%s\n' "$INPUT" | setsid sh "$SELF" __job $$ >>"$RUN/log" 2>&1; } >/dev/null 2>&1 &
  else
    { printf '%s\n' "$INPUT" | (trap '' HUP && exec sh "$SELF" __job $$ >>"$RUN/log" 2>&1); } >/dev/null 2>&1 &
  fi
  _launched=$!
  _launched_start=$(proc_start $_launched)
  now
  _t0=$NOW
  until [ -f "$RUN/pid" ]; do
    if ! alive "$_launched" "$_launched_start" && [ ! -f "$RUN/pid" ]; then
      # It may have come to its end, and another job begun.
      job_id
      if [ "$JOB" != "$_id" ]; then return 0; fi
      job_unstarted "it ended at once; its log: $(tail -n 5 "$RUN/log")"
    fi
    now
    [ $((NOW - _t0)) -le 3000 ] || job_unstarted "no word of it within 30 s; its log: $(tail -n 5 "$RUN/log")"
    nap 0.05
  done
}

# job_files: what a job begins with.
job_files() {
  # First of all, and in one piece: who follows the last job must see that another has taken its place before anything of it is gone.
  printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$$.$NOW" >"$RUN/started.new" &&
    mv "$RUN/started.new" "$RUN/started" &&
    rm -f "$RUN/exit" "$RUN/pid" "$RUN/facts" &&
    { [ ! -f "$RUN/log" ] || mv "$RUN/log" "$RUN/log.1"; } &&
    printf '' >"$RUN/log" &&
    printf '%s\n' "$_wants" >"$RUN/wants" &&
    printf '%s\n' "$INPUT" | sed 's/^\([a-z_]*_secret\)=..*/\1=[secret]/' >"$RUN/inputs"
}

# job_unstarted WHY: ends the caller, who still has the lock.
job_unstarted() {
  drop_lock "$RUN/lock"
  blame_disk 1 "$RUN"
  die "the job did not start: $1"
}

# job_id: JOB is that of the job that runs, or ran last; empty when there was none.
job_id() {
  JOB=''
  { read -r JOB <"$RUN/started"; } 2>/dev/null || :
  JOB=${JOB##* }
}

# job_body LAUNCHER: the detached side.
job_body() {
  trap '' HUP
  # The launcher may have been killed, and its lock cleared by another caller, who started a job of their own.
  [ "$(holder "$RUN/lock" pid)" = "$1" ] || exit 0
  hold "$RUN/lock" $$ || die "can't write into $RUN/lock"
  proc_start $$ >"$RUN/pid.start"
  printf '%s\n' $$ >"$RUN/pid.new"
  mv "$RUN/pid.new" "$RUN/pid"
  IN_JOB=1
  masked apply_now >"$RUN/facts"
  job_id
  cp "$RUN/facts" "$RUN/ended.$JOB.new"
  printf '%s\n' "$CODE" >>"$RUN/ended.$JOB.new"
  mv "$RUN/ended.$JOB.new" "$RUN/ended.$JOB"
  printf '%s\n' "$CODE" >"$RUN/exit.new"
  mv "$RUN/exit.new" "$RUN/exit"
  drop_lock "$RUN/lock"
}

# attach [ID]: follows the log of this job, or of the one that runs, to its end, and exits with its code; returns when another has taken its place.
attach() {
  job_id
  _id=${1:-$JOB}
  _shown=0
  now
  _t1=$NOW
  while :; do
    _ended=0
    if [ -f "$RUN/exit" ]; then _ended=1; fi
    _pid=''
    _start=''
    { read -r _pid <"$RUN/pid" && read -r _start <"$RUN/pid.start"; } 2>/dev/null || :
    if [ "$_ended" = 0 ] && ! alive "$_pid" "$_start"; then
      nap
      [ -f "$RUN/exit" ] || _ended=2
    fi
    [ -f "$RUN/started" ] || die "the job was ended and removed by somebody else (remove); run again if it is still wanted"
    job_id
    if [ "$JOB" != "$_id" ]; then
      [ -f "$RUN/ended.$_id" ] || return 0
      say "the job has ended, another runs by now; the end of its log: $(tail -n 3 "$RUN/log.1" 2>/dev/null | grep -v '^@')"
      _ended=1
    else
      show_log
    fi
    case $_ended in
      1)
        # Not `exit` and `facts`: the next job may take them away at this moment.
        _code=$(tail -n 1 "$RUN/ended.$_id")
        sed '$d' "$RUN/ended.$_id"
        [ "$_code" = 0 ] || blame_disk "$_code" "$RUN" "$CACHE"
        exit "$_code"
        ;;
      2)
        blame_disk 1 "$RUN" "$CACHE"
        die "the job (pid $(cat "$RUN/pid" 2>/dev/null)) died without an exit code: killed, out of memory, or the host restarted. Its log: $RUN/log; run again, it goes on where it was"
        ;;
    esac
    now
    if [ $((NOW - _t1)) -gt 1000 ]; then nap 0.5; else nap 0.1; fi
  done
}

# show_log: the lines not yet shown, without those for machines.
show_log() {
  _lines=$(wc -l <"$RUN/log")
  [ "$_lines" -gt "$_shown" ] || return 0
  sed -n -e "$((_shown + 1)),${_lines}{/^@/d;p;}" "$RUN/log" >&2
  _shown=$_lines
}

# job_stop: ends a job with all of its children.
job_stop() {
  [ -d "$RUN/lock" ] || return 0
  _pid=$(holder "$RUN/lock" pid)
  if [ -f "$RUN/pid" ] && [ "$(cat "$RUN/pid")" = "$_pid" ] && alive "$_pid" "$(holder "$RUN/lock" start)"; then
    say "stopping the job that still runs: $(who_holds "$RUN/lock")"
    _start=$(holder "$RUN/lock" start)
    kill -TERM "-$_pid" 2>/dev/null || kill -TERM "$_pid" 2>/dev/null || :
    now
    _t0=$NOW
    while alive "$_pid" "$_start" && [ $((NOW - _t0)) -lt 1000 ]; do
      nap
      now
    done
    kill -KILL "-$_pid" 2>/dev/null || :
  fi
  rm -rf "$RUN/lock"
}
