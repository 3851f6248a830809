#!/bin/sh
# uses: lib.sh lib-lock.sh lib-job.sh lib-tools.sh fetch.py fetch_http.py fetch_aria2.py fetch_files.py fetch_progress.py fetch_download.py fetch_pieces.py fetch_sources.py fetch_hash.py
# Models into the store cache/sha256, then linked into the WebUI's folders below data/; the tokenizer as a filled Hugging Face cache.
# Inputs: models (name, kind, folder, file, bytes, sha256, urls separated by spaces), tokenizer_repository, tokenizer_revision,
# tokenizer (file, sha256, urls), token_hosts, hf_token_secret, proxy.
. "$(dirname "$0")/lib.sh"

TAB='	'

# wanted: a line a file: PATH below data, NAME, BYTES, SHA256, URLS.
wanted() {
  input models | awk -F'\t' 'NF { d = ($3 ~ /^embeddings/ ? $3 : "models/" $3); print d "/" $4 "\t" $4 "\t" $5 "\t" $6 "\t" $7 }'
  _repo=$(input tokenizer_repository | sed 's#/#--#g')
  [ -z "$_repo" ] || input tokenizer |
    awk -F'\t' -v d="hf/hub/models--$_repo/snapshots/$(input tokenizer_revision)" 'NF { print d "/" $1 "\t" $1 "\t-\t" $2 "\t" $3 }'
}

safe() { case /$1/ in */../* | */./* | *//*) die "models: $1 is not a plain path" 2 ;; esac }

step_check() {
  [ -f "$RUN/links" ] || drifted "the record of links is gone"
  # By the record: size and identity of each. The content itself was checked when it came.
  while IFS=$TAB read -r _path _sha _bytes; do
    _size=$(stat -L -c %s "$WORKSPACE/data/$_path" 2>/dev/null) || drifted "data/$_path is not there"
    [ "$_size" = "$_bytes" ] || drifted "data/$_path has $_size bytes; wanted: $_bytes"
  done <"$RUN/links"
  wanted >"/dev/null"
  _missing=$(wanted | cut -f1 | while read -r _path; do grep -q "^$_path$TAB" "$RUN/links" || echo "$_path"; done)
  [ -z "$_missing" ] || drifted "not linked: $(echo $_missing)"
}

step_apply() {
  _python=$(any_python) || die "there is no Python 3.8 or later on the host to fetch with: the step python brings one"
  wanted >"$RUN/wanted"
  [ -s "$RUN/wanted" ] || say "no models are wanted"
  while IFS=$TAB read -r _path _rest; do safe "$_path"; done <"$RUN/wanted"
  request | "$_python" "$BIN/fetch.py" >"$RUN/fetched" ||
    die "not every model could be had: see above. What came stays in $CACHE; run up again and it goes on there"
  : >"$RUN/links.new"
  while IFS=$TAB read -r _path _name _bytes _sha _urls; do link_one </dev/null; done <"$RUN/wanted"
  unlink_strays
  mv "$RUN/links.new" "$RUN/links"
  write_ref
  fact_json models "$(input models | grep -c . || :)"
  fact_json bytes "$(awk -F'\t' '{ n += $3 } END { printf "%d", n }' "$RUN/fetched")"
  fact_json fetched_bytes "$(awk -F'\t' '$5 == "fetched" { n += $3 } END { printf "%d", n }' "$RUN/fetched")"
  fact_json sha256 "{$(awk -F'\t' '{ printf "%s\"%s\":\"%s\"", (NR > 1 ? "," : ""), $1, $2 }' "$RUN/fetched")}"
}

# request: what fetch.py reads; the token goes through a pipe.
request() {
  printf 'cache\t%s\n' "$CACHE"
  printf 'token\t%s\n' "$(input hf_token_secret)"
  printf 'token_hosts\t%s\n' "$(input token_hosts | tr '\n' ' ')"
  awk -F'\t' '{ print "file\t" $2 "\t" $3 "\t" $4 "\t" $5 }' "$RUN/wanted"
}

# link_one: a hard link to the store's file, or a symlink where they lie on different file systems.
link_one() {
  _got=$(awk -F'\t' -v n="$_name" -v s="$_sha" '$1 == n && (s == "-" || s == $2) { print; exit }' "$RUN/fetched")
  _hash=$(printf '%s' "$_got" | cut -f2)
  _size=$(printf '%s' "$_got" | cut -f3)
  _from=$(printf '%s' "$_got" | cut -f4)
  _url=$(printf '%s' "$_got" | cut -f6)
  [ -f "$_from" ] || die "$_name was fetched and is not in the store"
  if [ "$_sha" = - ] && [ "$_url" != - ]; then
    say "$_name has no sha256 in its catalog; recorded from this first download: $_hash. Put it there, so that the next host is held to it"
  fi
  _to=$WORKSPACE/data/$_path
  mkdir -p "$(dirname "$_to")"
  if ! same "$_from" "$_to"; then
    if { [ -e "$_to" ] || [ -L "$_to" ]; } && ! grep -q "^$_path$TAB" "$RUN/links" 2>/dev/null && [ ! -L "$_to" ]; then
      mv "$_to" "$_to.aside-$(date -u +%Y%m%dT%H%M%SZ)"
      say "another file lay at data/$_path; it was moved beside"
    fi
    rm -f "$_to.new"
    ln "$_from" "$_to.new" 2>/dev/null || ln -s "$_from" "$_to.new"
    mv -f "$_to.new" "$_to"
  fi
  printf '%s\t%s\t%s\n' "$_path" "$_hash" "$_size" >>"$RUN/links.new"
}

same() { [ "$(stat -L -c %d:%i "$1" 2>/dev/null)" = "$(stat -L -c %d:%i "$2" 2>/dev/null)" ]; }

# unlink_strays: what an earlier catalog had put there. Files of the user's own are in no record of ours.
unlink_strays() {
  [ -f "$RUN/links" ] || return 0
  while IFS=$TAB read -r _path _hash _size; do
    grep -q "^$_path$TAB" "$RUN/links.new" || { rm -f "$WORKSPACE/data/$_path" && say "data/$_path is wanted no more; unlinked"; }
  done <"$RUN/links"
}

# write_ref: transformers looks for `main`; this says which revision that is.
write_ref() {
  [ -n "$_repo" ] || return 0
  _hub=$WORKSPACE/data/hf/hub/models--$_repo
  mkdir -p "$_hub/refs"
  printf '%s' "$(input tokenizer_revision)" >"$_hub/refs/main.new"
  mv "$_hub/refs/main.new" "$_hub/refs/main"
}

step_remove() {
  [ ! -f "$RUN/links" ] || while IFS=$TAB read -r _path _hash _size; do rm -f "$WORKSPACE/data/$_path"; done <"$RUN/links"
  rm -rf "$WORKSPACE/data/hf"
}

run_job "$@"
