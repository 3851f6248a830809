#!/bin/sh
# uses: lib.sh lib-room.sh lib-lock.sh lib-job.sh lib-tools.sh lib-store.sh lib-upstreams.sh fetch.py fetch_http.py fetch_connect.py fetch_aria2.py fetch_files.py fetch_progress.py fetch_download.py fetch_requests.py fetch_blame.py fetch_pieces.py fetch_lease.py fetch_sources.py fetch_hash.py
# Models into the store cache/sha256, then linked into the WebUI's folders below data/; the tokenizer as a filled Hugging Face cache.
# Inputs: models (name, kind, folder, file, bytes, sha256, urls separated by spaces), tokenizer_repository, tokenizer_revision,
# tokenizer (file, sha256, urls), token_hosts, hf_token_secret, proxy.
. "$(dirname "$0")/lib.sh"
. "$BIN/lib-store.sh"
. "$BIN/lib-upstreams.sh"

TAB='	'

# wanted: a line a file: PATH below data, FILE, BYTES, SHA256, URLS, NAME.
wanted() {
  input models | awk -F'\t' 'NF { d = ($3 ~ /^embeddings/ ? $3 : "models/" $3); print d "/" $4 "\t" $4 "\t" $5 "\t" $6 "\t" $7 "\t" $1 }'
  _repo=$(input tokenizer_repository | sed 's#/#--#g')
  [ -z "$_repo" ] || input tokenizer |
    awk -F'\t' -v d="hf/hub/models--$_repo/snapshots/$(input tokenizer_revision)" 'NF { print d "/" $1 "\t" $1 "\t-\t" $2 "\t" $3 "\ttokenizer" }'
}

# ref_file: where transformers looks for what `main` is of the tokenizer's revisions; nothing where there is no tokenizer.
ref_file() {
  _repo=$(input tokenizer_repository | sed 's#/#--#g')
  [ -z "$_repo" ] || printf '%s' "$WORKSPACE/data/hf/hub/models--$_repo/refs/main"
}

ref_there() { [ -z "$(ref_file)" ] || [ "$(cat "$(ref_file)" 2>/dev/null)" = "$(input tokenizer_revision)" ]; }

safe() { case /$1/ in */../* | */./* | *//*) die "models: $1 is not a plain path" 2 ;; esac }

step_check() {
  [ -f "$RUN/links" ] || drifted "the record of links is gone"
  [ -f "$(use_file)" ] || drifted "the host's store of models does not know that this workspace uses it"
  ref_there || drifted "data/hf does not say which revision of the tokenizer it holds (refs/main)" service
  # By the record: size and identity of each. A WebUI that was started without one of them has lost it until it is started anew. The content itself was checked when it came.
  while IFS=$TAB read -r _path _sha _bytes; do
    _size=$(stat -L -c %s "$WORKSPACE/data/$_path" 2>/dev/null) || drifted "data/$_path is not there" service
    [ "$_size" = "$_bytes" ] || drifted "data/$_path has $_size bytes; wanted: $_bytes" service
    # A link, and a copy that kept its time: what the store has now is what the WebUI sees.
    [ "$(stat -L -c %y "$WORKSPACE/data/$_path")" = "$(stat -L -c %y "$CACHE/sha256/$_sha" 2>/dev/null)" ] ||
      drifted "data/$_path is not the store's file: that is gone, or was found damaged and fetched anew" service
  done <"$RUN/links"
  _missing=$(wanted | cut -f1 | while read -r _path; do grep -q "^$_path$TAB" "$RUN/links" || echo "$_path"; done)
  [ -z "$_missing" ] || drifted "not linked: $(echo $_missing)"
}

step_apply() {
  _python=$(any_python) || die "there is no Python 3.8 or later on the host to fetch with: the step python brings one"
  wanted >"$RUN/wanted"
  [ -s "$RUN/wanted" ] || say "no models are wanted"
  while IFS=$TAB read -r _path _rest; do safe "$_path"; done <"$RUN/wanted"
  { cut -f4,2 "$RUN/wanted" | awk -F'\t' '{ print $2 "\t" $1 }' && sed 1d "$(use_file)" 2>/dev/null || :; } | sort -u | claim_store
  # -S: it needs no packages, and some machines' start-up files load for longer than all of it.
  request | "$_python" -S "$BIN/fetch.py" >"$RUN/fetched" ||
    die "not every model could be had: see above. What came stays in $CACHE; run up again and it goes on there"
  : >"$RUN/links.new"
  : >"$RUN/items"
  while IFS=$TAB read -r _path _file _bytes _sha _urls _name; do link_one </dev/null; done <"$RUN/wanted"
  unlink_strays
  mv "$RUN/links.new" "$RUN/links"
  awk -F'\t' '{ n = split($1, part, "/"); print $2 "\t" part[n] }' "$RUN/links" | sort -u | claim_store
  write_ref
  fact_json models "$(input models | grep -c . || :)"
  fact_json bytes "$(awk -F'\t' '{ n += $3 } END { printf "%.0f", n }' "$RUN/fetched")"
  # What came over the network, more than once counted each time.
  fact_json fetchedBytes "$(awk -F'\t' '{ n += $7 } END { printf "%.0f", n }' "$RUN/fetched")"
  fact_json sha256 "{$(awk -F'\t' '{ printf "%s\"%s\":\"%s\"", (NR > 1 ? "," : ""), $1, $2 }' "$RUN/fetched")}"
  items
}

# items: what the report tells of each model, and the models whose entry has no sha256: the next host is held to what came here.
# A line of run/models/items: NAME, FILE, BYTES, SHA256, the server or `cache`, `-` where the entry has no sha256.
items() {
  fact_json items "[$(awk -F'\t' '
    { b[$1] += $3; if (!($1 in from)) { order[++n] = $1; from[$1] = $5 } if ($5 != "cache") from[$1] = $5 }
    END { for (i = 1; i <= n; i++) printf "%s{\"name\":\"%s\",\"kind\":\"model\",\"bytes\":%.0f,\"source\":\"%s\",\"cached\":%s}",
      (i > 1 ? "," : ""), order[i], b[order[i]], from[order[i]], (from[order[i]] == "cache" ? "true" : "false") }' "$RUN/items")]"
  fact_json recorded "{$(awk -F'\t' '$6 == "-" { printf "%s\"%s\":{\"file\":\"%s\",\"bytes\":%.0f,\"sha256\":\"%s\",\"source\":\"%s\"}",
    (n++ ? "," : ""), $1, $2, $3, $4, $5 }' "$RUN/items")}"
}

# request: what fetch.py reads; the token goes through a pipe.
request() {
  printf 'cache\t%s\n' "$CACHE"
  printf 'token\t%s\n' "$(input hf_token_secret)"
  printf 'token_hosts\t%s\n' "$(input token_hosts | tr '\n' ' ')"
  # The best first, by what this host measured.
  while IFS=$TAB read -r _path _file _bytes _sha _urls _name; do
    printf 'file\t%s\t%s\t%s\t%s\n' "$_file" "$_bytes" "$_sha" "$(printf '%s' "$_urls" | tr ' ' '\n' | rank_urls | tr '\n' ' ')"
  done <"$RUN/wanted"
}

# note_change: the step service starts the WebUI anew for it.
note_change() { cat /proc/sys/kernel/random/uuid >"$RUN/changed"; }

# link_one: a hard link to the store's file; where that can't be, a copy that shares its blocks, or a symlink.
link_one() {
  _got=$(awk -F'\t' -v n="$_file" -v s="$_sha" '$1 == n && (s == "-" || s == $2) { print; exit }' "$RUN/fetched")
  _hash=$(printf '%s' "$_got" | cut -f2)
  _size=$(printf '%s' "$_got" | cut -f3)
  _from=$(printf '%s' "$_got" | cut -f4)
  _url=$(printf '%s' "$_got" | cut -f6)
  [ -f "$_from" ] || die "$_file was fetched and is not in the store"
  if [ "$_sha" = - ] && [ "$_url" != - ]; then
    say "$_file has no sha256 in its catalog; recorded from this first download: $_hash. Put it there, so that the next host is held to it"
  fi
  if [ "$_url" = - ]; then _server=cache; else _server=$(printf '%s' "$_url" | sed 's#^[a-z]*://##; s#/.*##'); fi
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$_name" "$_file" "$_size" "$_hash" "$_server" "$_sha" >>"$RUN/items"
  _to=$WORKSPACE/data/$_path
  mkdir -p "$(dirname "$_to")"
  if ! same "$_from" "$_to"; then
    if { [ -e "$_to" ] || [ -L "$_to" ]; } && ! grep -q "^$_path$TAB" "$RUN/links" 2>/dev/null && [ ! -L "$_to" ]; then
      mv "$_to" "$_to.aside-$(date -u +%Y%m%dT%H%M%SZ)"
      say "another file lay at data/$_path; it was moved beside"
    fi
    rm -f "$_to.new"
    ln "$_from" "$_to.new" 2>/dev/null || cp -p --reflink=always "$_from" "$_to.new" 2>/dev/null || ln -sf "$_from" "$_to.new"
    mv -f "$_to.new" "$_to"
    note_change
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

# write_ref: no name of a revision, but the one that is there.
write_ref() {
  if ref_there; then return 0; fi
  _ref=$(ref_file)
  mkdir -p "$(dirname "$_ref")"
  printf '%s' "$(input tokenizer_revision)" >"$_ref.new"
  mv "$_ref.new" "$_ref"
  note_change
}

step_remove() {
  [ ! -f "$RUN/links" ] || while IFS=$TAB read -r _path _hash _size; do rm -f "$WORKSPACE/data/$_path"; done <"$RUN/links"
  rm -rf "$WORKSPACE/data/hf"
  unclaim_store
}

run_job "$@"
