# Starting and stopping the gate, under the manager that looks after the WebUI. Wants lib-service.sh.

gate_unit() { printf '%s-gate' "$(unit_name)"; }

# gate_port: where the gate that is set up listens.
gate_port() { sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$WORKSPACE/run/gate/config.json" 2>/dev/null; }

# gate_launcher: run/gate.sh, the one process that the manager runs. No password in it: the gate reads the file that holds it.
gate_launcher() {
  cat <<END
#!/bin/sh
# Written by the step gate. Runs the gate in the foreground.
mkdir -p '$WORKSPACE/run/tmp/gate'
exec env -i PATH="\$PATH" LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1 HOME='$WORKSPACE/run/home' TMPDIR='$WORKSPACE/run/tmp/gate' \\
  '$WORKSPACE/tools/gate/bin/python' '$WORKSPACE/bin/gate.py' '$WORKSPACE/run/gate/config.json'
END
}

gate_program() {
  cat <<END
[program:gate]
command=/bin/sh '$WORKSPACE/run/gate.sh'
autorestart=true
startsecs=1
startretries=20
stopasgroup=true
killasgroup=true
stopwaitsecs=10
redirect_stderr=true
stdout_logfile=$WORKSPACE/logs/gate.out.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=1
END
}

gate_unit_text() {
  cat <<END
[Unit]
Description=The gate before the Stable Diffusion WebUI ($WORKSPACE)
After=network.target
[Service]
ExecStart=/bin/sh '$WORKSPACE/run/gate.sh'
Restart=always
RestartSec=1
TimeoutStopSec=10
StandardOutput=truncate:$WORKSPACE/logs/gate.out.log
StandardError=inherit
[Install]
WantedBy=multi-user.target
END
}

# start_gate: anew, with what run/gate says now.
start_gate() {
  _before=$(gate_pids)
  end_all gate_pids 1000
  case $(manager) in
    systemd)
      _unit=$(input unit_dir /etc/systemd/system)/$(gate_unit).service
      gate_unit_text >"$_unit.new"
      mv "$_unit.new" "$_unit"
      printf '%s\n' "$_unit" >"$WORKSPACE/run/gate/unit"
      systemctl daemon-reload && systemctl enable -q "$(gate_unit)" && systemctl restart "$(gate_unit)" ||
        die "systemctl could not start $(gate_unit): journalctl -u $(gate_unit) on the host says why"
      ;;
    supervisor)
      _conf=$WORKSPACE/run/supervisor.d/gate.conf
      mkdir -p "$WORKSPACE/run/supervisor.d"
      # A percent sign is supervisor's own.
      gate_program | sed 's/%/%%/g' >"$WORKSPACE/run/gate.conf.new"
      # One that its supervisor knows is started again by it, in a moment; else it is told.
      if [ -n "$_before" ] && cmp -s "$WORKSPACE/run/gate.conf.new" "$_conf"; then
        now
        _t0=$NOW
        until [ -n "$(gate_pids)" ] || [ $((NOW - _t0)) -gt 500 ]; do
          nap 0.1
          now
        done
      fi
      mv "$WORKSPACE/run/gate.conf.new" "$_conf"
      [ -n "$(gate_pids)" ] || tell_supervisor
      ;;
  esac
  printf '%s\n' "$(manager)" >"$WORKSPACE/run/gate/manager"
}

# tell_supervisor: of programs that came, changed or went. Without a control socket (its path may be too long for one) it has to start anew, and the WebUI with it.
tell_supervisor() {
  if [ -S "$WORKSPACE/run/supervisor.sock" ]; then
    ask_supervisor update >&2 || :
    # One that it knew, and had given up.
    [ ! -f "$WORKSPACE/run/supervisor.d/gate.conf" ] || [ -n "$(gate_pids)" ] || ask_supervisor start gate >/dev/null 2>&1 || :
  else
    kill -HUP $(supervisor_pids) 2>/dev/null || :
  fi
}

# ask_supervisor COMMAND...: one that takes calls and answers none, as when its logs lie on a disk that is gone, is not waited for.
ask_supervisor() {
  _limit=''
  ! command -v timeout >/dev/null 2>&1 || _limit='timeout 60'
  $_limit "$WORKSPACE/tools/supervisor/bin/supervisorctl" -c "$WORKSPACE/run/supervisord.conf" "$@"
}

gate_alive() {
  case $(cat "$WORKSPACE/run/gate/manager" 2>/dev/null) in
    systemd) systemctl is-active -q "$(gate_unit)" ;;
    *) supervisor_runs ;;
  esac
}

# stop_gate: for good.
stop_gate() {
  if [ -f "$WORKSPACE/run/gate/unit" ]; then
    systemctl disable -q --now "$(gate_unit)" 2>/dev/null || :
    rm -f "$(cat "$WORKSPACE/run/gate/unit")" "$WORKSPACE/run/gate/unit"
    systemctl daemon-reload || :
  fi
  if [ -f "$WORKSPACE/run/supervisor.d/gate.conf" ]; then
    rm -f "$WORKSPACE/run/supervisor.d/gate.conf"
    [ -z "$(supervisor_pids)" ] || tell_supervisor
  fi
  end_all gate_pids 1000
  rm -f "$WORKSPACE/run/gate/running"
}

# set_gate_aside: a gate that is wanted no more, or stands where the WebUI is to listen now. Its own step sets it up again.
set_gate_aside() {
  if [ "$(input gate no)" = no ] || [ "$(gate_port)" = "$(input port)" ]; then stop_gate; fi
}
