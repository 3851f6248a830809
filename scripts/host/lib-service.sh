# Starting, stopping and looking after the WebUI, under systemd or supervisor.

# manager: which of the two. systemd counts only where it is process 1.
manager() {
  case $(input manager auto) in
    systemd) echo systemd ;;
    supervisor) echo supervisor ;;
    auto)
      if [ -d /run/systemd/system ] && [ "$(id -u)" = 0 ] && command -v systemctl >/dev/null 2>&1; then echo systemd; else echo supervisor; fi
      ;;
    *) die "manager=$(input manager); accepted: auto, systemd, supervisor" 2 ;;
  esac
}

unit_name() { printf 'atelier-%s' "$(cut -c 1-8 "$WORKSPACE/run/id" 2>/dev/null || echo webui)"; }

# launcher: run/webui.sh, the one process that the manager runs.
# Its environment is made from nothing: a rental's tokens would else stand on /internal/sysinfo, COMMANDLINE_ARGS would change the start,
# and a platform's proxy would catch the WebUI's calls to itself. glibc would keep a dropped checkpoint's memory for good: 5 GB of SD1.5 under SDXL.
# From 2.6 on torch reads of its own accord only pickles of tensors: a .ckpt of Lightning's holds more, and the WebUI looks through each before torch has it.
launcher() {
  cat <<END
#!/bin/sh
# Written by the step service. Runs the WebUI in the foreground.
cd '$WORKSPACE/src/webui' || exit 1
set --
while IFS= read -r word; do set -- "\$@" "\$word"; done <'$WORKSPACE/run/flags'
keep=''
for name in LD_LIBRARY_PATH CUDA_HOME NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES TZ; do
  eval "value=\\\${\$name:-}"
  [ -z "\$value" ] || case \$value in *[!A-Za-z0-9_./:,+-]*) ;; *) keep="\$keep \$name=\$value" ;; esac
done
mkdir -p '$WORKSPACE/run/home' '$WORKSPACE/run/tmp/webui'
echo "=== atelier start \$(date -u +%Y-%m-%dT%H:%M:%SZ)"
exec env -i \$keep \\
  PATH="\$PATH" LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONNOUSERSITE=1 HOME='$WORKSPACE/run/home' TMPDIR='$WORKSPACE/run/tmp/webui' \\
  $(compiled_variable) \\
  XDG_CACHE_HOME='$CACHE/xdg' MPLCONFIGDIR='$WORKSPACE/run/home/matplotlib' GRADIO_ANALYTICS_ENABLED=False \\
  HF_HOME='$WORKSPACE/data/hf' HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_XET=1 \\
  GIT_CONFIG_GLOBAL='$WORKSPACE/run/home/.gitconfig' GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 \\
  no_proxy=localhost,127.0.0.1 CUDA_DEVICE_ORDER=PCI_BUS_ID $(gpu_variable) $(hub_variable) $(gate_variable) \\
  MALLOC_MMAP_THRESHOLD_=1048576 TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 \\
  ATELIER_CREDENTIALS='$WORKSPACE/data/credentials' ATELIER_WEBUI='$WORKSPACE/src/webui' \\
  '$WORKSPACE/venv/bin/python' '$WORKSPACE/bin/webui_start.py' "\$@"
END
}

# gpu_variable: the GPU that preflight chose, by nvidia-smi's number.
gpu_variable() { [ ! -s "$WORKSPACE/run/gpu" ] || printf 'CUDA_VISIBLE_DEVICES=%s' "$(cat "$WORKSPACE/run/gpu")"; }

# compiled_variable: what Python compiles of the packages is kept in the cache.
compiled_variable() {
  [ ! -s "$WORKSPACE/venv/.atelier-wheels" ] || printf "PYTHONPYCACHEPREFIX='%s'" "$(compiled "$(cat "$WORKSPACE/venv/.atelier-wheels")")"
}

# gate_variable: behind the gate the WebUI asks nobody for another login, and lets nobody in but the gate.
gate_variable() { [ "$(input gate no)" = no ] || printf 'ATELIER_GATE=1'; }

# hub_variable: where Hugging Face is, for extensions that ask for it by HF_ENDPOINT: nothing where that is its own address.
hub_variable() { sed -n '2s#^\(https\{0,1\}://[A-Za-z0-9_./:,+-]*[^/]\)/*$#HF_ENDPOINT=\1#p' "$RUN/hub" 2>/dev/null | grep -v '=https://huggingface.co$' || :; }

# choose_hub: once for a list of upstreams: another measuring is no reason to restart the WebUI.
choose_hub() {
  _list=$(input huggingface | hash_text)
  [ "$(head -n 1 "$RUN/hub" 2>/dev/null)" != "$_list" ] || return 0
  { echo "$_list" && input huggingface | rank_urls | head -n 1; } >"$RUN/hub.new"
  mv "$RUN/hub.new" "$RUN/hub"
}

# manager_there: systemd comes with the host.
manager_there() { [ "$(manager)" = systemd ] || tool_there supervisor "$(input supervisor_lock)" supervisor; }

install_supervisor() {
  if tool_there supervisor "$(input supervisor_lock)" supervisor; then return 0; fi
  [ ! -d "$WORKSPACE/tools/supervisor" ] || stop_service
  install_tool supervisor "$(input supervisor_lock)"
}

# tool_there NAME LOCK MODULE: tools/NAME was installed from this lock, and works.
tool_there() { [ "$(cat "$WORKSPACE/tools/$1/.lock" 2>/dev/null)" = "$2" ] && "$WORKSPACE/tools/$1/bin/python" -IB -c "import $3" 2>/dev/null; }

# install_tool NAME LOCK: Python packages in a venv of their own, tools/NAME, every file by its hash.
install_tool() {
  _tools=$WORKSPACE/tools/$1
  [ -n "$2" ] || die "$1_lock is empty" 2
  say "installing $1"
  rm -rf "$_tools"
  "$WORKSPACE/tools/bin/uv" venv -q --no-project --python "$WORKSPACE/venv/bin/python" "$_tools" || die "uv could not make $_tools: see above"
  printf '%s\n' "$2" >"$RUN/$1.txt"
  with_cached_index uv - "$WORKSPACE/tools/bin/uv" pip sync -q --python "$_tools/bin/python" --require-hashes "$RUN/$1.txt" ||
    die "uv could not install $1 from $(input pypi 'its default index'): see above"
  printf '%s\n' "$2" >"$_tools/.lock"
  tell_tool "$1" "$INDEX" "$(printf '%s\n' "$2" | awk '/^ +# bytes: / { sum += $3 } END { printf "%.0f", sum }')"
}

# tell_tool NAME INDEX BYTES: its packages, for the report of what was fetched and what was there.
tell_tool() {
  case $2 in cache | offline) _cached=true _came=0 ;; *) _cached=false _came=$3 ;; esac
  fact_json fetchedBytes "$_came"
  fact_json items "[{\"name\":\"$1\",\"kind\":\"tool\",\"bytes\":$3,\"source\":\"$(json "$2")\",\"cached\":$_cached}]"
}

# supervisor_conf: no control socket where its path would be too long for one; signals do for us.
supervisor_conf() {
  cat <<END
[supervisord]
logfile=$WORKSPACE/logs/supervisord.log
logfile_maxbytes=5MB
logfile_backups=2
pidfile=$WORKSPACE/run/supervisord.pid
childlogdir=$WORKSPACE/logs
directory=$WORKSPACE/run
identifier=atelier
END
  if [ "$(printf %s "$WORKSPACE/run/supervisor.sock.99999999" | wc -c)" -le 107 ]; then
    cat <<END
[unix_http_server]
file=$WORKSPACE/run/supervisor.sock
chmod=0600
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://$WORKSPACE/run/supervisor.sock
END
  fi
  cat <<END
[program:webui]
command=/bin/sh '$WORKSPACE/run/webui.sh'
autorestart=true
startsecs=10
startretries=5
stopasgroup=true
killasgroup=true
stopwaitsecs=15
redirect_stderr=true
stdout_logfile=$WORKSPACE/logs/webui.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=5
[include]
files=supervisor.d/*.conf
END
}

# logged: of one that ended at once there is a log, which `ready` reads: it is not waited for.
logged() { ls -Lin "$WORKSPACE/logs/webui.log" 2>/dev/null | awk '{ print $1, $6 }'; }

start_service() {
  _logged=$(logged)
  case $(manager) in
    systemd) start_systemd ;;
    supervisor)
      # A percent sign is supervisor's own.
      supervisor_conf | sed 's/%/%%/g' >"$WORKSPACE/run/supervisord.conf"
      printf "#!/bin/sh\n# Starts the service again after the box was restarted; a platform's start hook may call it.\nexec env -i PATH=\"\$PATH\" '%s' -c '%s' </dev/null >/dev/null 2>&1\n" \
        "$WORKSPACE/tools/supervisor/bin/supervisord" "$WORKSPACE/run/supervisord.conf" >"$WORKSPACE/run/start-service.sh"
      for _name in LD_LIBRARY_PATH CUDA_HOME NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES TZ; do
        eval "_v=\${$_name:-}"
        [ -z "$_v" ] || case $_v in *[!A-Za-z0-9_./:,+-]*) ;; *) sed -i "s#^exec env -i #&$_name=$_v #" "$WORKSPACE/run/start-service.sh" ;; esac
      done
      rm -f "$WORKSPACE/run/supervisor.sock"
      sh "$WORKSPACE/run/start-service.sh" || die "supervisord did not start: $(tail -n 3 "$WORKSPACE/logs/supervisord.log" 2>/dev/null)"
      ;;
  esac
  printf '%s\n' "$(manager)" >"$RUN/manager"
  now
  _t0=$NOW
  wake_supervisor
  until [ -n "$(service_pids)" ] || [ "$(logged)" != "$_logged" ]; do
    now
    if [ $((NOW - _t0)) -gt 6000 ]; then
      die "the WebUI did not start within 60 s. Its log ($WORKSPACE/logs/webui.log) ends: $(tail -n 5 "$WORKSPACE/logs/webui.log" 2>/dev/null)"
    fi
    nap 0.1
  done
}

start_systemd() {
  _unit=$(input unit_dir /etc/systemd/system)/$(unit_name).service
  cat >"$_unit.new" <<END
[Unit]
Description=Stable Diffusion WebUI ($WORKSPACE)
After=network.target
[Service]
ExecStartPre=/bin/sh -c 'f="$WORKSPACE/logs/webui.log"; [ "\$\$(stat -c %%s "\$\$f" 2>/dev/null || echo 0)" -lt 20000000 ] || mv "\$\$f" "\$\$f.1"'
ExecStart=/bin/sh '$WORKSPACE/run/webui.sh'
Restart=always
RestartSec=3
TimeoutStopSec=15
StandardOutput=append:$WORKSPACE/logs/webui.log
StandardError=inherit
[Install]
WantedBy=multi-user.target
END
  mv "$_unit.new" "$_unit"
  printf '%s\n' "$_unit" >"$RUN/unit"
  printf '#!/bin/sh\nexec systemctl start %s\n' "$(unit_name)" >"$WORKSPACE/run/start-service.sh"
  systemctl daemon-reload && systemctl enable -q "$(unit_name)" && systemctl restart "$(unit_name)" ||
    die "systemctl could not start $(unit_name): journalctl -u $(unit_name) on the host says why"
}

# supervisor_pids: this workspace's supervisord, by what it was started with: its pid file goes with an emptied workspace, it does not.
supervisor_pids() { pids_of "$WORKSPACE/tools/supervisor/bin/supervisord"; }

# wake_supervisor: it looks at its programs, and at signals, once a second, and whenever somebody calls.
wake_supervisor() {
  [ ! -S "$WORKSPACE/run/supervisor.sock" ] ||
    "$WORKSPACE/tools/supervisor/bin/python" -ISB -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.setblocking(False); s.connect(sys.argv[1])' "$WORKSPACE/run/supervisor.sock" 2>/dev/null || :
}

# supervisor_runs: and is not stopped, when it would start nothing again, and its WebUI hang as soon as the pipe of its log is full.
supervisor_runs() {
  for _pid in $(supervisor_pids); do
    case $(sed 's/.*) //' "/proc/$_pid/stat" 2>/dev/null) in [!Tt]*) return 0 ;; esac
  done
  return 1
}

manager_alive() {
  case $(cat "$RUN/manager" 2>/dev/null) in
    systemd) systemctl is-active -q "$(unit_name)" ;;
    *) supervisor_runs ;;
  esac
}

# boots UNIT: systemd starts it with the box, unless somebody disabled it. Another manager has no such word.
boots() { [ "$(manager)" != systemd ] || systemctl is-enabled -q "$1" 2>/dev/null; }

# boot UNIT: it does from now on, without a restart; 1 where systemd does not know it.
boot() { boots "$1" || systemctl enable -q "$1" 2>/dev/null; }

# stop_service: whatever manager it was started under, and orphans of a manager that was killed; ends when the processes are gone.
stop_service() {
  [ ! -f "$RUN/unit" ] || systemctl disable -q --now "$(unit_name)" 2>/dev/null || :
  end_all supervisor_pids 2500 wake_supervisor
  # The gate goes and comes with its supervisor; one that was left behind would hold its port.
  [ "$(cat "$RUN/manager" 2>/dev/null)" = systemd ] || end_all gate_pids 1000
  _left=$(service_pids)
  if [ -n "$_left" ]; then
    say "ending a WebUI that no manager looks after any more (process $(echo $_left))"
    end_all service_pids 1000
  fi
  rm -f "$RUN/running"
}

# end_all LISTER CENTISECONDS [WAKER]: asks the listed processes to end, waits, and ends them; another login's are one clear error.
end_all() {
  _left=$($1)
  [ -n "$_left" ] || return 0
  for _pid in $_left; do
    kill -0 "$_pid" 2>/dev/null || [ ! -d "/proc/$_pid" ] ||
      die "what runs in this workspace is another login's: process $_pid of $(ls -ld "/proc/$_pid" | awk '{ print $3 }'), and $(id -un 2>/dev/null || id -u) may not end it. Set host.user to the login that started it, or end it there, and run again"
  done
  kill -TERM $_left 2>/dev/null || :
  # A stopped one would hear of it then.
  kill -CONT $_left 2>/dev/null || :
  now
  _t0=$NOW
  while [ -n "$($1)" ] && [ $((NOW - _t0)) -lt "$2" ]; do
    ${3:-:}
    nap 0.1
    now
  done
  _left=$($1)
  [ -z "$_left" ] || kill -KILL $_left 2>/dev/null || :
  while [ -n "$($1)" ] && [ $((NOW - _t0)) -lt $(($2 + 500)) ]; do
    nap 0.1
    now
  done
}

# Platforms without a service manager run one script of theirs when the box starts: it gets a line of ours, before all others but a `#!`.
# Behind anything else it may be part of a longer command, in a branch, or never reached.
hook_mark() { printf '# atelier %s' "$(cut -c 1-8 "$WORKSPACE/run/id" 2>/dev/null || echo webui)"; }
# It never fails: with `set -e` (also in the `#!`) the platform's script would end there.
hook_line() { printf "if [ -f '%s' ]; then sh '%s' || :; fi %s" "$WORKSPACE/run/start-service.sh" "$WORKSPACE/run/start-service.sh" "$(hook_mark)"; }

# hook_first FILE: its first line where that is a `#!`, else nothing.
hook_first() { head -n 1 "$1" 2>/dev/null | grep '^#!' || :; }

# hook_placed FILE: our line stands where it always runs; an earlier version put it behind any first line.
hook_placed() {
  if [ -n "$(hook_first "$1")" ]; then _at=2p; else _at=1p; fi
  [ "$(sed -n "$_at" "$1" 2>/dev/null)" = "$(hook_line)" ]
}

# hook_refused FILE: WHY our line can't stand there; 1 when it can.
hook_refused() {
  if [ ! -d "$(dirname "$1")" ] || { [ -e "$1" ] && [ ! -w "$1" ]; }; then
    WHY="can't be written to"
    return 0
  fi
  _first=$(hook_first "$1")
  case $_first in '' | '#!'*sh | '#!'*'sh '*) return 1 ;; esac
  WHY="is no shell script ($_first): it is left as it is"
}

# hooked: our line is there, or none is wanted, or it was said that there can be none.
hooked() {
  _hook=$(input start_hook)
  [ -z "$_hook" ] || [ "$(manager)" = systemd ] || hook_placed "$_hook" ||
    { [ "$(cat "$RUN/hookless" 2>/dev/null)" = "$_hook" ] && hook_refused "$_hook"; }
}

add_hook() {
  _hook=$(input start_hook)
  _known=$(cat "$RUN/hook" 2>/dev/null || :)
  if [ -n "$_known" ] && [ "$_known" != "$_hook" ]; then remove_hook; fi
  if hooked; then return 0; fi
  if hook_refused "$_hook"; then
    say "the platform's start script $_hook $WHY; after a restart of the box: sh $WORKSPACE/run/start-service.sh, or up"
    printf '%s\n' "$_hook" >"$RUN/hookless"
    return 0
  fi
  rm -f "$RUN/hookless"
  [ -f "$_hook" ] || { printf '#!/bin/sh\n' >"$_hook" && chmod 755 "$_hook"; }
  _first=$(hook_first "$_hook")
  cp -p "$_hook" "$_hook.atelier"
  {
    [ -z "$_first" ] || printf '%s\n' "$_first"
    printf '%s\n' "$(hook_line)"
    tail -n "+$((${_first:+1} + 1))" "$_hook" | grep -vF "$(hook_mark)" || :
  } >"$_hook.atelier"
  mv "$_hook.atelier" "$_hook"
  printf '%s\n' "$_hook" >"$RUN/hook"
  say "starts again with the box, by $_hook"
}

remove_hook() {
  _known=$(cat "$RUN/hook" 2>/dev/null || input start_hook)
  [ -n "$_known" ] && [ -f "$_known" ] && grep -qF "$(hook_mark)" "$_known" || return 0
  cp -p "$_known" "$_known.atelier"
  grep -vF "$(hook_mark)" "$_known" >"$_known.atelier" || :
  mv "$_known.atelier" "$_known"
  # Nothing but its first line: it was ours.
  [ "$(cat "$_known")" != '#!/bin/sh' ] || rm -f "$_known"
  rm -f "$RUN/hook"
}
