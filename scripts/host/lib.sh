# What every step shares: its inputs, its words, its facts, its surroundings, and the order of apply, check and remove.
# A step sources this file, defines step_apply, step_check and step_remove, and ends with `run_step "$@"` or `run_job "$@"`.
set -eu
umask 077
# Text is bytes. In a locale that takes some of them for broken letters, such as a GBK one, sed passes these on unquoted, and inputs become commands.
LC_ALL=C
export LC_ALL

BIN=$(cd "$(dirname "$0")" && pwd)
SELF=$BIN/$(basename "$0")
STEP=$(basename "$0" .sh)
STEP=${STEP#[0-9][0-9]-}
FACTS=''

. "$BIN/lib-room.sh"
. "$BIN/lib-lock.sh"
. "$BIN/lib-job.sh"
. "$BIN/lib-tools.sh"
. "$BIN/lib-accelerator.sh"
. "$BIN/lib-upstreams.sh"

# say TEXT: a line for people.
say() { printf '%s: %s\n' "$STEP" "$*" >&2; }

# die TEXT [CODE]: ends the step. The text says what was tried, on what, what came back and what to do next.
die() {
  printf 'error: %s: %s\n' "$STEP" "$1" >&2
  exit "${2:-1}"
}

# drifted TEXT [STEP]…: the answer of a check that found something else than it wants; the steps are to be applied again with this one.
drifted() {
  printf '%s\n' "$1" >&2
  shift
  [ $# = 0 ] || printf 'also: %s\n' "$*" >&2
  exit 10
}

# read_inputs: standard input, `key=value` lines with `\\` and `\n` escaped, into INPUT; sets WORKSPACE, CACHE, RUN and SECRETS.
read_inputs() {
  INPUT=$(cat)
  # Each as a variable, once: a step asks for dozens.
  eval "$(printf '%s\n' "$INPUT" | sed -n "s/'/'\\\\''/g; s/^\([a-z][a-z0-9_]*\)=\(.*\)/atelier_input_\1='\2'/p")"
  case $(input atelier) in
    1) ;;
    '') die "no inputs on standard input: the first line wanted is atelier=1" 2 ;;
    *) die "the inputs are of form $(input atelier), this script knows form 1: lay the scripts again (atelier up)" 2 ;;
  esac
  WORKSPACE=$(input workspace)
  CACHE=$(input cache)
  [ -n "$CACHE" ] || CACHE=$WORKSPACE/cache
  safe_folder workspace "$WORKSPACE"
  safe_folder cache "$CACHE"
  RUN=$WORKSPACE/run/$STEP
  # Of a proxy its login alone, too: tools tell the address in forms of their own.
  SECRETS=$(printf '%s\n' "$INPUT" | sed -n '/^proxy_secret=/{h;s#^[^/]*//\([^@]*\)@.*#\1#p;g;}; s/^[a-z_]*_secret=//p' | grep -v '^$') || SECRETS=''
}

# safe_folder WHAT PATH: it is going to be written to, and removed: absolute, below the top, without `..` and quotes.
safe_folder() {
  case $2 in
    */../* | */.. | */./* | *//* | *\'* | *\"* | *'
'*) die "$1=$2 is not a plain path" 2 ;;
    /*/?*) ;;
    *) die "$1=$2: wanted an absolute path at least two folders deep" 2 ;;
  esac
}

# input KEY [DEFAULT]: the value, unescaped.
input() {
  eval "_value=\${atelier_input_$1:-}"
  [ -n "$_value" ] || _value=${2:-}
  printf '%b' "$_value"
}

# fact KEY TEXT, fact_json KEY JSON: for the line of JSON on standard output.
fact() { fact_json "$1" "\"$(json "$2")\""; }
fact_json() { FACTS="$FACTS,\"$1\":$2"; }

# json TEXT: escaped for the inside of a JSON string.
json() {
  case $1 in
    # Nothing in it to escape.
    *[!A-Za-z0-9\ ._/:@%+=,~-]*) ;;
    *)
      printf '%s' "$1"
      return
      ;;
  esac
  printf '%s' "$1" | tr '\011\015' '  ' | tr -d '\001-\010\013\014\016-\037' |
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | awk '{ printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }'
}

# now: NOW is hundredths of a second since boot. A process costs a millisecond, so what waits in a loop starts none but its sleep.
now() {
  read -r NOW _ </proc/uptime
  # Not with a nought in front, which would make it octal.
  NOW=$((${NOW%.*} * 100 + 1${NOW#*.} - 100))
}

# since CS: seconds since then, with one decimal.
since() {
  now
  printf '%d.%d' $(((NOW - $1) / 100)) $(((NOW - $1) % 100 / 10))
}

# hash_text: sha256 of standard input.
hash_text() {
  sha256sum | {
    read -r _hash _
    printf '%s\n' "$_hash"
  }
}

# mask: passes lines on, each of SECRETS replaced. In the shell itself: sed would show them in its arguments.
mask() {
  if [ -z "$SECRETS" ]; then
    cat
    return
  fi
  while IFS= read -r _line || [ -n "$_line" ]; do
    while IFS= read -r _secret; do
      # A secret of a letter or two would blank out the log and hide nothing.
      [ "${#_secret}" -ge 4 ] || continue
      while :; do
        case $_line in
          *"$_secret"*) _line="${_line%%"$_secret"*}[secret]${_line#*"$_secret"}" ;;
          *) break ;;
        esac
      done
    done <<END
$SECRETS
END
    printf '%s\n' "$_line"
  done
}

# make_folders FOLDER...: or one clear error.
make_folders() {
  _said=$(mkdir -p "$@" 2>&1) && return 0
  blame_disk 1 "$@"
  die "$(id -un 2>/dev/null || id -u) can't make folders in $WORKSPACE and $CACHE ($_said): set host.workspace and host.cache to folders that this user may write to"
}

# isolate: no tool of ours reads the user's own settings or writes outside workspace and cache.
isolate() {
  REAL_HOME=${HOME:-/root}
  HOME=$WORKSPACE/run/home
  TMPDIR=$WORKSPACE/run/tmp
  make_folders "$HOME" "$TMPDIR" "$CACHE"
  export HOME TMPDIR PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1
  unset PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX 2>/dev/null || :
  # What the user set for git, pip and uv: but where their index is, and what a network wants.
  for _name in $(env | sed -n 's/^\(\(PIP\|UV\|GIT\)_[A-Z0-9_]*\)=.*/\1/p'); do
    case $_name in PIP_INDEX_URL | PIP_TRUSTED_HOST | *_CERT | *_PROXY* | GIT_SSL_*) ;; *) unset "$_name" ;; esac
  done
  export XDG_CACHE_HOME="$CACHE/xdg" XDG_CONFIG_HOME="$HOME/config" XDG_DATA_HOME="$HOME/data"
  export HF_HOME="$CACHE/hf" PIP_CACHE_DIR="$CACHE/pip" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
  export UV_CACHE_DIR="$CACHE/uv" UV_NO_CONFIG=1 UV_NO_PROGRESS=1 UV_HTTP_TIMEOUT=60 UV_PYTHON_INSTALL_DIR="$WORKSPACE/tools/python"
  # The machine's own certificates: a company's proxy is trusted there, and only there.
  export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1
  if [ -z "${SSL_CERT_FILE:-}" ] && [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
  fi
  export GIT_TERMINAL_PROMPT=0 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL="$HOME/.gitconfig" GIT_LFS_SKIP_SMUDGE=1
  # A mounted disk may show another owner; git would then refuse our own checkouts.
  # mirrors.gitconfig is the step sources': it sends git to the upstream that this host reaches best.
  printf '[safe]\n\tdirectory = *\n[advice]\n\tdetachedHead = false\n[gc]\n\tauto = 0\n[include]\n\tpath = mirrors.gitconfig\n' >"$HOME/.gitconfig.$$"
  mv "$HOME/.gitconfig.$$" "$HOME/.gitconfig"
  plain_proxies
  _proxy=$(input proxy "$(input proxy_secret)")
  if [ -n "$_proxy" ]; then
    export http_proxy="$_proxy" https_proxy="$_proxy" HTTP_PROXY="$_proxy" HTTPS_PROXY="$_proxy"
  fi
  use_accelerator
  no_proxy="${no_proxy:+$no_proxy,}localhost,127.0.0.1,::1"
  export no_proxy NO_PROXY="$no_proxy"
}

# plain_proxies: what the environment has beside HTTP proxies, SOCKS for one, goes: curl speaks it, pip and our own fetcher don't,
# and preflight has to find what the steps will find.
plain_proxies() {
  _aside=''
  for _name in http_proxy https_proxy all_proxy ftp_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY FTP_PROXY; do
    eval "_v=\${$_name:-}"
    case $_v in
      [Hh][Tt][Tt][Pp]://* | [Hh][Tt][Tt][Pp][Ss]://*) ;;
      *://*)
        unset "$_name"
        _aside="$_aside $_name=${_v%%://*}://..."
        ;;
    esac
  done
  # Said once a workspace: every step finds it.
  [ "$_aside" != "$(cat "$WORKSPACE/run/aside" 2>/dev/null || :)" ] || return 0
  printf '%s\n' "$_aside" >"$WORKSPACE/run/aside"
  [ -z "$_aside" ] || say "the host's environment has$_aside, which is left aside: not every tool speaks it. Where upstreams are out of reach without, set host.proxy to an HTTP proxy"
}

# remember: what was applied, without secrets: `check` without inputs goes by it.
remember() {
  # A file of its own: what a killed one has started may end beside this.
  printf '%s\n' "$INPUT" | grep -v -e '^[a-z_]*_secret=' -e '^token=' >"$RUN/applied.$$"
  mv "$RUN/applied.$$" "$RUN/applied"
}

# apply_now: the step itself, its facts on standard output.
apply_now() {
  now
  _began=$NOW
  isolate
  step_apply
  remember
  _took=$(since "$_began")
  tell_cold "$_took"
  printf '{"step":"%s","seconds":%s%s}\n' "$STEP" "$_took" "$FACTS"
}

# tell_cold SECONDS: a step that fetches (its fact fetchedBytes) remembers in the cache how long it took when it fetched the most;
# when nothing had to be fetched, it tells that beside its own time.
tell_cold() {
  _fetched=$(printf '%s' "$FACTS" | sed -n 's/.*"fetchedBytes":\([0-9]*\).*/\1/p')
  [ -n "$_fetched" ] || return 0
  { read -r _most _cold <"$CACHE/cold/$STEP"; } 2>/dev/null || _most=0
  if [ "$_fetched" = 0 ]; then
    [ "$_most" = 0 ] || fact_json coldSeconds "$_cold"
  elif [ "$_fetched" -ge "$_most" ]; then
    mkdir -p "$CACHE/cold"
    printf '%s %s\n' "$_fetched" "$1" >"$CACHE/cold/$STEP.new"
    mv "$CACHE/cold/$STEP.new" "$CACHE/cold/$STEP"
  fi
}

# masked COMMAND...: runs it with both its streams masked; its exit code is in CODE. No code at all: there was no room for one.
# Its files are its own: what a killed one has started may end beside it, and would give it another's facts or code.
masked() {
  drop_dead
  set +e
  {
    (
      set -e
      "$@" >"$RUN/facts.$$"
    )
    echo $? >"$RUN/code.$$"
  } 2>&1 | mask >&2
  set -e
  CODE=$(cat "$RUN/code.$$" 2>/dev/null) || :
  CODE=${CODE:-1}
  [ "$CODE" != 0 ] || mask <"$RUN/facts.$$"
  rm -f "$RUN/code.$$" "$RUN/facts.$$"
}

# drop_dead: the files of their own that killed ones left.
drop_dead() {
  for _file in "$RUN"/applied.* "$RUN"/facts.* "$RUN"/code.*; do
    [ ! -f "$_file" ] || [ -d "/proc/${_file##*.}" ] || rm -f "$_file"
  done
}

# run_step VERB: for a step that is short. A job (lib-job.sh) is for what takes minutes.
run_step() {
  case ${1:-} in
    apply | check | remove) read_inputs ;;
    *) die "wanted: $SELF apply|check|remove, with the inputs on standard input; got: ${1:-nothing}" 2 ;;
  esac
  case $1 in
    apply)
      make_folders "$RUN"
      take_lock "$RUN/lock"
      masked apply_now
      drop_lock "$RUN/lock"
      [ "$CODE" = 0 ] || blame_disk "$CODE" "$RUN" "$CACHE"
      exit "$CODE"
      ;;
    check) check_now ;;
    remove) remove_now ;;
  esac
}

check_now() {
  [ -f "$RUN/applied" ] || drifted "never applied here"
  step_check
  exit 0
}

remove_now() {
  if [ -d "$WORKSPACE" ]; then
    isolate
    step_remove >&2
    rm -rf "$RUN"
  fi
  printf '{"step":"%s","removed":true}\n' "$STEP"
}
