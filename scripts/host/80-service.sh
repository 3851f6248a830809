#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh lib-service.sh lib-gate.sh lib-store.sh
# The WebUI under a service manager: restarted when it crashes, its log rotated, alive after the SSH session.
# Inputs: manager=auto|systemd|supervisor, supervisor_lock (requirements with hashes), pypi, huggingface (base URLs), port, listen, gate=yes|no (does one stand before it?),
# config (a change restarts), models (path, sha256: a change applies again; what is linked decides), proxy,
# prepare=yes (what it needs is installed, and nothing is started: an image's build), unit_dir (/etc/systemd/system), start_hook (a script that the platform runs when the box starts).
. "$(dirname "$0")/lib.sh"
. "$BIN/lib-service.sh"
. "$BIN/lib-gate.sh"
. "$BIN/lib-store.sh"

# wanted: what the running process was started from; another value restarts it.
wanted() {
  {
    input config
    printf '\n%s %s %s\n' "$(input port)" "$(input listen)" "$(manager)"
    cat "$WORKSPACE/run/flags" "$WORKSPACE/run/gpu" "$WORKSPACE/venv/.atelier-wheels" "$BIN/webui_start.py" 2>/dev/null || :
    [ ! -f "$WORKSPACE/data/credentials" ] || hash_text <"$WORKSPACE/data/credentials"
    cat "$WORKSPACE/src/webui/.git/HEAD" 2>/dev/null || :
    # It keeps a checkpoint that it has loaded, and lists an upscaler only where it lay there at the start. What was gone then it has not.
    linked
    cat "$WORKSPACE/run/models/changed" 2>/dev/null || :
    launcher
  } | hash_text
}

linked() { sort "$WORKSPACE/run/models/links" 2>/dev/null || :; }

# forget_contents: for a file that is not newer than its caches of hashes and metadata, the WebUI believes those. Back from another model of that name, it is older.
forget_contents() {
  if [ -f "$RUN/models" ] && [ "$(cat "$RUN/models")" != "$(linked)" ]; then rm -rf "$WORKSPACE/data/cache"; fi
  linked >"$RUN/models"
}

step_check() {
  [ "$(cat "$RUN/manager" 2>/dev/null)" = "$(manager)" ] || drifted "the service is under another manager"
  manager_there || drifted "the service manager's packages are not those of its lock, or their Python is gone"
  manager_alive || drifted "the service manager ($(manager)) does not run, or is stopped"
  [ -n "$(service_pids)" ] || drifted "the WebUI does not run"
  [ "$(cat "$RUN/running" 2>/dev/null)" = "$(wanted)" ] || drifted "the WebUI runs with an older configuration"
  boots "$(unit_name)" || drifted "the unit $(unit_name) was disabled: it would not start with the box"
  hooked || drifted "$(input start_hook) does not start the WebUI with the box"
}

step_apply() {
  if [ "$(input prepare no)" = yes ]; then
    install_supervisor
    return
  fi
  apply_service
  add_hook
}

apply_service() {
  _manager=$(manager)
  [ "$_manager" != systemd ] || [ "$(id -u)" = 0 ] || die "manager=systemd wants root; set host.serviceManager to supervisor"
  [ -s "$WORKSPACE/run/flags" ] && [ -s "$WORKSPACE/data/credentials" ] || die "the service is not configured (run/flags, data/credentials): the step config writes them; run up again"
  [ -x "$WORKSPACE/venv/bin/python" ] && [ -d "$WORKSPACE/src/webui" ] || die "venv or src/webui is missing: run up again"
  choose_hub
  fact manager "$_manager"
  fact log "$WORKSPACE/logs/webui.log"
  mkdir -p "$WORKSPACE/logs"
  _old=$(cat "$RUN/manager" 2>/dev/null || :)
  if [ "$_old" = "$_manager" ] && manager_there && manager_alive && [ -n "$(service_pids)" ] && [ "$(cat "$RUN/running" 2>/dev/null)" = "$(wanted)" ] && boot "$(unit_name)"; then
    fact_json restarted false
    return 0
  fi
  [ "$_manager" != supervisor ] || install_supervisor
  stop_service
  set_gate_aside
  _who=$(port_owner "$(input port)")
  [ -z "$_who" ] || die "port $(input port) is taken by process $_who: end it, or set another webui.port"
  forget_contents
  launcher >"$WORKSPACE/run/webui.sh.new"
  mv "$WORKSPACE/run/webui.sh.new" "$WORKSPACE/run/webui.sh"
  start_service
  wanted >"$RUN/running"
  # The one before, which may have had other packages, writes no more. A young one may be of a stack that is coming up.
  drop_compiled -mtime +0
  fact_json restarted true
  fact start "sh $WORKSPACE/run/start-service.sh"
  say "started under $_manager; log: $WORKSPACE/logs/webui.log"
}

step_remove() {
  remove_hook
  stop_service
  [ ! -f "$RUN/unit" ] || { rm -f "$(cat "$RUN/unit")" && systemctl daemon-reload; }
  rm -rf "$WORKSPACE/tools/supervisor" "$WORKSPACE/run/supervisord.conf" "$WORKSPACE/run/supervisor.sock" "$WORKSPACE/run/webui.sh" "$WORKSPACE/run/start-service.sh"
  # The gate's program in it, if there is one, is the gate's to take away: a service that is made anew starts it again.
  rmdir "$WORKSPACE/run/supervisor.d" 2>/dev/null || :
}

run_step "$@"
