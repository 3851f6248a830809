#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh ready.py
# Waits until a picture was made, with the model asked for: an open port, /sd-models and sd_checkpoint_hash all say too much too early.
# Inputs: port, listen, timeout (seconds), model (file name), service (anything: a change waits again), user, password_secret.
. "$(dirname "$0")/lib.sh"

# request: what ready.py reads; the password goes through a pipe.
request() {
  _listen=$(input listen 127.0.0.1)
  case $_listen in 0.0.0.0 | ::) _listen=127.0.0.1 ;; esac
  printf 'url\thttp://%s:%s\n' "$_listen" "$(input port)"
  printf 'log\t%s\n' "$WORKSPACE/logs/webui.log"
  printf 'timeout\t%s\n' "$(input timeout 900)"
  printf 'model\t%s\n' "$(input model)"
  printf 'starter\t%s\n' "$WORKSPACE/bin/webui_start.py"
  if [ -n "$(input password_secret)" ]; then
    printf 'user\t%s\npassword\t%s\n' "$(input user)" "$(input password_secret)"
  elif [ -r "$WORKSPACE/data/credentials" ]; then
    sed 's/^\([^:]*\):\(.*\)/user\t\1\npassword\t\2/' "$WORKSPACE/data/credentials"
  fi
}

ready() {
  _python=$(any_python) || die "there is no Python 3.8 or later on the host: the step python brings one"
  request | "$_python" "$BIN/ready.py" "$1"
}

step_check() {
  [ -n "$(service_pids)" ] || drifted "the WebUI does not run"
  _code=0
  _why=$(ready check 2>&1) || _code=$?
  [ $_code = 0 ] || drifted "$_why"
}

step_apply() {
  ready wait >"$RUN/proof" || die "the WebUI is not ready: see above. Its whole log: $WORKSPACE/logs/webui.log"
  fact_json picture "$(cat "$RUN/proof")"
}

step_remove() { :; }

run_step "$@"
