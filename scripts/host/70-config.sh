#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh config_write.py
# What the WebUI is started with: data/config.json and data/ui-config.json (both merged: the rest is the user's), data/credentials (0600), run/flags.
# Inputs: listen, port, options (JSON), ui (JSON), flags (a line a flag), vram=auto|full|medvram|lowvram, sdxl=yes|no, user, password_secret,
# state (whose password it is: each clone of a stack with a state of its own has another; host-facts looks at run/state).
. "$(dirname "$0")/lib.sh"

# all_flags: the WebUI's whole argument list, a line a word. No password: that is in data/credentials.
all_flags() {
  _flags=$(input flags)
  flag() { printf '%s\n' "$_flags" | grep -qx -e "$1"; }
  printf '%s\n' --data-dir "$WORKSPACE/data"
  flag --port || printf '%s\n' --port "$(input port)"
  if ! flag --listen && ! flag --server-name; then
    if [ "$(input listen)" = 0.0.0.0 ]; then echo --listen; else printf '%s\n' --server-name "$(input listen 127.0.0.1)"; fi
  fi
  flag --api || flag --nowebui || echo --api
  # It would begin a download of 4 GB before it opens its port, and look dead meanwhile.
  flag --no-download-sd-model || echo --no-download-sd-model
  _vram=$(vram_mode)
  [ "$_vram" = full ] || printf '%s\n' "--$_vram"
  [ -z "$_flags" ] || printf '%s\n' "$_flags"
}

# vram_mode: how sparingly the GPU's memory is used: full, medvram-sdxl (for SDXL only), medvram or lowvram.
# After the WebUI's wiki: 512x512 with 4 GB wants --medvram; SDXL wants --medvram-sdxl with 8 GB, --lowvram with 4 GB, nothing with 12 GB.
# Cards report some MB less than their name says: each step lies 5 % below.
vram_mode() {
  _mode=$(input vram full)
  if [ "$_mode" = auto ]; then
    _mb=$(cat "$WORKSPACE/run/vram" 2>/dev/null || :)
    if [ -z "$_mb" ]; then _mode=full
    elif [ "$(input sdxl no)" = yes ]; then
      if [ "$_mb" -lt 5800 ]; then _mode=lowvram
      elif [ "$_mb" -lt 11600 ]; then _mode=medvram-sdxl
      else _mode=full; fi
    elif [ "$_mb" -lt 5800 ]; then _mode=medvram
    else _mode=full; fi
  fi
  printf '%s' "$_mode"
}

check_values() {
  case $(input user) in
    '' | *[!A-Za-z0-9._-]*) die "user=$(input user): letters, digits and . _ - only; the WebUI splits at : and ," 2 ;;
  esac
  case $(input password_secret) in
    '' | *[!A-Za-z0-9_-]*) die "the password is empty or has other characters than letters, digits, _ and -; the WebUI splits at : and , and dies" 2 ;;
  esac
  case $(input port) in '' | *[!0-9]*) die "port=$(input port) is not a number" 2 ;; esac
  case $(input vram full) in
    auto | full | medvram | lowvram) ;;
    *) die "vram=$(input vram): one of auto, full, medvram, lowvram" 2 ;;
  esac
  if all_flags | grep -qE -e '^--(gradio-auth|api-auth)(=|$)'; then
    die "flags: --gradio-auth and --api-auth would show the password to everyone on the host; user and password are settings" 2
  fi
}

step_check() {
  [ -s "$WORKSPACE/data/config.json" ] || drifted "data/config.json is not there"
  _python=$(any_python) || drifted "there is no Python to read data/config.json with"
  for _pair in config:options ui-config:ui; do
    _why=$("$_python" -ISB "$BIN/config_write.py" check "$WORKSPACE/data/${_pair%:*}.json" "$RUN/${_pair#*:}.json" 2>&1) || drifted "$_why"
  done
  [ -s "$WORKSPACE/data/credentials" ] || drifted "data/credentials is not there"
  [ "$(stat -c %a "$WORKSPACE/data/credentials")" = 600 ] || drifted "data/credentials can be read by others"
  [ "$(all_flags)" = "$(cat "$WORKSPACE/run/flags" 2>/dev/null)" ] || drifted "run/flags is not what was written"
  if [ -n "$SECRETS" ]; then
    [ "$(cat "$WORKSPACE/data/credentials")" = "$(input user):$(input password_secret)" ] || drifted "data/credentials hold another user or password"
  else
    [ "$(cut -d: -f1 "$WORKSPACE/data/credentials")" = "$(input user)" ] || drifted "data/credentials hold another user"
    [ "$(hash_text <"$WORKSPACE/data/credentials")" = "$(cat "$RUN/credentials.sha256" 2>/dev/null)" ] || drifted "data/credentials were changed"
  fi
}

step_apply() {
  check_values
  _python=$(any_python) || die "there is no Python 3.8 or later on the host: the step python brings one"
  mkdir -p "$WORKSPACE/data"
  input options '{}' | "$_python" "$BIN/config_write.py" "$WORKSPACE/data/config.json" "$RUN/options.json" ||
    die "data/config.json could not be written"
  input ui '{}' | "$_python" "$BIN/config_write.py" "$WORKSPACE/data/ui-config.json" "$RUN/ui.json" ||
    die "data/ui-config.json could not be written"
  printf '%s:%s\n' "$(input user)" "$(input password_secret)" >"$WORKSPACE/data/credentials.new"
  chmod 600 "$WORKSPACE/data/credentials.new"
  mv "$WORKSPACE/data/credentials.new" "$WORKSPACE/data/credentials"
  hash_text <"$WORKSPACE/data/credentials" >"$RUN/credentials.sha256"
  printf '%s\n' "$(input state)" >"$WORKSPACE/run/state"
  all_flags >"$WORKSPACE/run/flags.new"
  mv "$WORKSPACE/run/flags.new" "$WORKSPACE/run/flags"
  fact vram "$(vram_mode)"
  fact_json flags "$(grep -c . "$WORKSPACE/run/flags")"
}

step_remove() { rm -f "$WORKSPACE/data/config.json" "$WORKSPACE/data/ui-config.json" "$RUN/options.json" "$RUN/ui.json" "$WORKSPACE/data/credentials" "$WORKSPACE/run/flags" "$WORKSPACE/run/state"; }

run_step "$@"
