#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh lib-service.sh lib-gate.sh gate.py gate_answers.py gate_auth.py gate_body.py gate_checkpoints.py gate_config.py gate_dify.py gate_draw.py gate_line.py gate_options.py gate_pass.py gate_route.py gate_start.py gate_upstream.py
# The gate: a reverse proxy before the WebUI, which listens on loopback behind it. One password for everything, and a line for what draws.
# Inputs: listen, port (its own), inner_port (the WebUI's), queue, deadline (seconds, 0: none), interrupt=yes|no, manager=auto|systemd|supervisor,
# service (a change applies again: it may have been started anew),
# prepare=yes (its packages are installed, and nothing is started: an image's build), gate_lock (requirements with hashes), pypi, proxy, unit_dir (/etc/systemd/system).
. "$(dirname "$0")/lib.sh"
. "$BIN/lib-service.sh"
. "$BIN/lib-gate.sh"

config() {
  case $(input interrupt yes) in yes) _interrupt=true ;; no) _interrupt=false ;; *) die "interrupt=$(input interrupt): yes or no" 2 ;; esac
  for _key in port inner_port queue deadline; do
    case $(input $_key) in '' | *[!0-9]*) die "$_key=$(input $_key) is not a number" 2 ;; esac
  done
  cat <<END
{
  "listen": "$(json "$(input listen 127.0.0.1)")",
  "port": $(input port),
  "inner_port": $(input inner_port),
  "credentials": "$(json "$WORKSPACE/data/credentials")",
  "webui_log": "$(json "$WORKSPACE/logs/webui.log")",
  "log": "$(json "$WORKSPACE/logs/gate.log")",
  "queue": $(input queue),
  "deadline": $(input deadline),
  "interrupt": $_interrupt
}
END
}

# wanted: what the running process was started from; another value restarts it.
wanted() {
  {
    config
    gate_launcher
    manager
    input gate_lock
    cat "$BIN"/gate*.py
    [ ! -f "$WORKSPACE/data/credentials" ] || hash_text <"$WORKSPACE/data/credentials"
  } | hash_text
}

# in_place: one that runs as wanted is given time to listen: the service's step may have started its manager anew a moment ago.
in_place() {
  [ "$(cat "$RUN/manager" 2>/dev/null)" = "$(manager)" ] && gate_alive && [ -n "$(gate_pids)" ] && [ "$(cat "$RUN/running" 2>/dev/null)" = "$(wanted)" ] && comes_up 1000
}

step_check() {
  tool_there gate "$(input gate_lock)" aiohttp || drifted "the gate's packages are not those of its lock, or their Python is gone"
  [ "$(cat "$RUN/manager" 2>/dev/null)" = "$(manager)" ] || drifted "the gate is under another manager"
  gate_alive || drifted "the gate's service manager ($(manager)) does not run"
  [ -n "$(gate_pids)" ] || drifted "the gate does not run"
  [ "$(cat "$RUN/running" 2>/dev/null)" = "$(wanted)" ] || drifted "the gate runs with an older configuration"
  port_open "$(input port)" || drifted "the gate does not listen on port $(input port)"
  boots "$(gate_unit)" || drifted "the unit $(gate_unit) was disabled: it would not start with the box"
}

step_apply() {
  if [ "$(input prepare no)" = yes ]; then
    tool_there gate "$(input gate_lock)" aiohttp || install_tool gate "$(input gate_lock)"
    return
  fi
  config >/dev/null
  [ "$(input port)" != "$(input inner_port)" ] || die "port and inner_port are both $(input port): the gate and the WebUI can't share one; set another webui.gate.innerPort" 2
  [ -s "$WORKSPACE/data/credentials" ] || die "data/credentials is missing: the step config writes it; run up again"
  fact manager "$(manager)"
  fact log "$WORKSPACE/logs/gate.log"
  mkdir -p "$WORKSPACE/logs" "$RUN"
  if tool_there gate "$(input gate_lock)" aiohttp; then
    if in_place && boot "$(gate_unit)"; then
      fact_json restarted false
      return 0
    fi
  else
    install_tool gate "$(input gate_lock)"
  fi
  _who=$(port_owner "$(input port)")
  [ -z "$_who" ] || own_gate "$_who" || die "port $(input port) is taken by process $_who: end it, or set another webui.port"
  config >"$RUN/config.json.new"
  mv "$RUN/config.json.new" "$RUN/config.json"
  gate_launcher >"$WORKSPACE/run/gate.sh.new"
  mv "$WORKSPACE/run/gate.sh.new" "$WORKSPACE/run/gate.sh"
  start_gate
  wait_for_gate
  wanted >"$RUN/running"
  fact_json restarted true
  say "listening on $(input listen 127.0.0.1) port $(input port), before port $(input inner_port); log: $WORKSPACE/logs/gate.log"
}

own_gate() { gate_pids | grep -qx "${1%% *}"; }

# comes_up HUNDREDTHS: the gate itself listens within so many of a second.
comes_up() {
  now
  _t0=$NOW
  until _who=$(port_owner "$(input port)") && [ -n "$_who" ] && own_gate "$_who"; do
    now
    [ $((NOW - _t0)) -le "$1" ] || return 1
    nap 0.1
  done
}

wait_for_gate() {
  comes_up 6000 ||
    die "the gate did not listen on port $(input port) within 60 s. It said ($WORKSPACE/logs/gate.out.log): $(tail -n 5 "$WORKSPACE/logs/gate.out.log" 2>/dev/null)"
}

step_remove() {
  stop_gate
  rm -rf "$WORKSPACE/tools/gate" "$WORKSPACE/run/gate.sh"
}

run_step "$@"
