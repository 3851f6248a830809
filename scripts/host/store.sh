#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh lib-store.sh
# The host's store of models, asked by `atelier models`: store.sh list|verify|prune, with the common inputs on standard input.
# Standard output: one line of JSON. list: the links into the WebUI's folders and the files of the store. verify: the store's files read in full;
# one whose content is not its name is set aside, so that the next up fetches it. prune: removes what no stack on this host names, and what Python compiled for none.
. "$(dirname "$0")/lib.sh"
. "$BIN/lib-store.sh"

TAB='	'

list() {
  printf '{"workspace":"%s","cache":"%s","links":[' "$(json "$WORKSPACE")" "$(json "$CACHE")"
  _comma=''
  if [ -f "$WORKSPACE/run/models/links" ]; then
    while IFS=$TAB read -r _path _sha _bytes; do
      _there=false
      [ "$(stat -L -c %s "$WORKSPACE/data/$_path" 2>/dev/null)" != "$_bytes" ] || _there=true
      printf '%s{"path":"%s","sha256":"%s","bytes":%s,"present":%s}' "$_comma" "$(json "$_path")" "$_sha" "$_bytes" "$_there"
      _comma=,
    done <"$WORKSPACE/run/models/links"
  fi
  printf '],"store":['
  _comma=''
  for _file in "$CACHE"/sha256/*; do
    case $_file in *.ok) continue ;; esac
    [ -f "$_file" ] || continue
    _verified=false
    # The mark is the file's length and time when its content was last read.
    case "$(cat "$_file.ok" 2>/dev/null)" in "$(stat -c %s "$_file") $(stat -c %Y "$_file")"*) _verified=true ;; esac
    printf '%s{"sha256":"%s","bytes":%s,"verified":%s,"usedBy":[%s]}' "$_comma" "${_file##*/}" "$(stat -c %s "$_file")" "$_verified" "$(users "${_file##*/}")"
    _comma=,
  done
  printf ']}\n'
}

# users SHA256: the workspaces that claim it, as JSON strings.
users() {
  { other_uses && use_file && echo; } | while IFS= read -r _use; do
    if [ -f "$_use" ] && grep -q "^$1$TAB" "$_use"; then printf '"%s"\n' "$(json "$(head -n 1 "$_use")")"; fi
  done | tr '\n' ',' | sed 's/,$//'
}

verify() {
  printf '{"store":['
  _comma=''
  for _file in "$CACHE"/sha256/*; do
    case $_file in *.ok) continue ;; esac
    [ -f "$_file" ] || continue
    _size=$(stat -c %s "$_file")
    say "reading ${_file##*/}, $((_size / 1000000)) MB"
    _ok=true
    if [ "$(sha256sum <"$_file" | cut -d' ' -f1)" != "${_file##*/}" ]; then
      _ok=false
      mkdir -p "$CACHE/fetch"
      rm -f "$_file.ok"
      mv "$_file" "$CACHE/fetch/${_file##*/}.damaged"
    fi
    printf '%s{"sha256":"%s","bytes":%s,"ok":%s}' "$_comma" "${_file##*/}" "$_size" "$_ok"
    _comma=,
  done
  printf ']}\n'
}

prune() {
  _busy=$(fetching_now)
  [ -z "$_busy" ] || die "models are being fetched on this host right now, for $(printf '%s' "$_busy" | tr '\n' ' '): let that end, and run again" 75
  drop_compiled
  printf '{"removed":['
  drop_unclaimed | awk -F'\t' '{ printf "%s{\"sha256\":\"%s\",\"bytes\":%s}", (NR > 1 ? "," : ""), $1, $2 }'
  printf ']}\n'
}

read_inputs
case ${1:-} in
  list | verify | prune) "$1" ;;
  *) die "wanted: $SELF list|verify|prune, with the inputs on standard input; got: ${1:-nothing}" 2 ;;
esac
