#!/bin/sh
# Every step's `check` in one go. Changes nothing.
# Standard input: sections, `=== <step>` and that step's inputs; or nothing: then each step goes by what was applied last.
# Standard output: a line of JSON a step, {"step":…,"ok":…,"why":…,"also":[steps that are to be applied again with it]}, and {"workspace":"<run/id>","state":"<run/state>"}. Without every answer it fails: silence is not "never applied".
set -u
LC_ALL=C
export LC_ALL
BIN=$(cd "$(dirname "$0")" && pwd)
WORKSPACE=$(dirname "$BIN")

# answer STEP CODE WHY
answer() {
  case $2 in
    0) printf '{"step":"%s","ok":true}\n' "$1" ;;
    *)
      _also=$(printf '%s\n' "${3:-}" | sed -n 's/^also: //p' | sed 's/[a-z][a-z]*/"&"/g; s/ /,/g')
      _why=$(printf '%s\n' "${3:-ended with $2}" | sed '/^also: /d' | tr '\n\t\r' '   ' | tr -d '\001-\037' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g')
      printf '{"step":"%s","ok":false,"why":"%s","also":[%s]}\n' "$1" "${_why% }" "$_also"
      ;;
  esac
}

# check_step STEP INPUTS
check_step() {
  _script=''
  for _file in "$BIN"/[0-9][0-9]-"$1".sh "$BIN/$1.sh"; do [ ! -f "$_file" ] || _script=$_file; done
  if [ -z "$_script" ]; then
    answer "$1" 1 "there is no script for it in $BIN"
    return
  fi
  _code=0
  _said=$(printf '%s\n' "$2" | sh "$_script" check 2>&1) || _code=$?
  answer "$1" "$_code" "$_said"
}

# What one that was killed left; a look takes seconds.
find "$WORKSPACE/run" -maxdepth 1 -name 'check.??????' -mmin +60 -exec rm -rf {} + 2>/dev/null
# Side by side, each into a file of its own: a check waits for disks, a service and a picture.
# The box's own temporary folder may be full, or nobody's to write to.
answers=''
for folder in "$WORKSPACE/run" "${TMPDIR:-/tmp}"; do
  answers=$(mktemp -d "$folder/check.XXXXXX" 2>/dev/null) || continue
  if dd if=/dev/zero of="$answers/room" bs=65536 count=1 2>/dev/null; then break; fi
  rm -rf "$answers"
  answers=''
done
if [ -z "$answers" ]; then
  echo "error: check-all: no room for its answers, in $WORKSPACE/run or ${TMPDIR:-/tmp}: make room on the host, and run again" >&2
  exit 1
fi
rm -f "$answers/room"
trap 'rm -rf "$answers"' EXIT
trap 'exit 129' HUP
trap 'exit 143' TERM
# bash keeps a longer here-document in a file.
TMPDIR=$answers
export TMPDIR
count=100
begun=''
# begin STEP INPUTS
begin() {
  count=$((count + 1))
  begun="$begun $count:$1"
  check_step "$1" "$2" >"$answers/$count" </dev/null &
}

# The scripts themselves, by the record of their laying (stacks/scripts.ts).
wrong=$(cd "$BIN" && sha256sum -- *.sh *.py 2>/dev/null | awk 'NR == FNR { there[$0]; next } !($0 in there) { printf "%s ", $2 }' - .laid 2>/dev/null) || wrong='their record (.laid)'
if [ -z "$wrong" ]; then answer scripts 0; else answer scripts 10 "gone or changed in bin: ${wrong% }"; fi

sections=$(cat)
if [ -z "$sections" ]; then
  for script in "$BIN"/[0-9][0-9]-*.sh; do
    step=$(basename "$script" .sh)
    step=${step#[0-9][0-9]-}
    if [ -f "$WORKSPACE/run/$step/applied" ]; then
      begin "$step" "$(cat "$WORKSPACE/run/$step/applied")"
    else
      answer "$step" 10 "never applied here"
    fi
  done
else
  step=''
  text=''
  while IFS= read -r line; do
    case $line in
      '=== '*)
        [ -z "$step" ] || begin "$step" "$text"
        step=${line#=== }
        text=''
        ;;
      *)
        text="$text$line
"
        ;;
    esac
  done <<END
$sections
END
  [ -z "$step" ] || begin "$step" "$text"
fi
wait
lost=''
for one in $begun; do
  line=$(cat "$answers/${one%%:*}" 2>/dev/null)
  case $line in '{'*'}') printf '%s\n' "$line" ;; *) lost="$lost ${one#*:}" ;; esac
done
if [ -n "$lost" ]; then
  echo "error: check-all: lost the answers of$lost: is the disk full? $(df -Pk "$answers" | sed -n 2p)" >&2
  exit 1
fi
printf '{"workspace":"%s","state":"%s"}\n' "$(cat "$WORKSPACE/run/id" 2>/dev/null)" "$(cat "$WORKSPACE/run/state" 2>/dev/null)"
