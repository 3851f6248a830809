# The host's store of models: cache/sha256/<sha256>, shared by all workspaces whose cache it is.
# cache/uses/<id> says what a workspace has from it: its path in the first line, then `sha256 <tab> name`.

use_file() { printf '%s/uses/%s' "$CACHE" "$(printf '%s' "$WORKSPACE" | hash_text | cut -c 1-16)"; }

# claim_store: standard input is `sha256 <tab> name` a line, and takes the place of what this workspace had claimed before.
# It is claimed before it is fetched: else another stack's prune might take it away in between.
claim_store() {
  _use=$(use_file)
  mkdir -p "$CACHE/uses"
  { printf '%s\n' "$WORKSPACE" && grep -v '^-' || :; } >"$_use.new"
  mv "$_use.new" "$_use"
}

unclaim_store() {
  rm -f "$(use_file)"
  rmdir "$CACHE/uses" 2>/dev/null || :
}

# other_uses: the files of the other workspaces that still stand.
other_uses() {
  _own=$(use_file)
  for _use in "$CACHE"/uses/*; do
    if [ ! -f "$_use" ] || [ "$_use" = "$_own" ]; then continue; fi
    case $_use in *.new) continue ;; esac
    [ ! -s "$(head -n 1 "$_use")/run/id" ] || printf '%s\n' "$_use"
  done
}

# claimed SHA256: some workspace has it, this one too.
claimed() {
  { other_uses && use_file && echo; } | while IFS= read -r _use; do
    if [ -f "$_use" ] && grep -q "^$1	" "$_use"; then echo yes && break; fi
  done | grep -q yes
}

# fetching_now: the workspaces that bring models into the store at this moment; an earlier claim of theirs may not name all of them.
fetching_now() {
  { other_uses && use_file && echo; } | while IFS= read -r _use; do
    [ -f "$_use" ] || continue
    _ws=$(head -n 1 "$_use")
    _lock=$_ws/run/models/lock
    if [ -d "$_lock" ] && alive "$(holder "$_lock" pid)" "$(holder "$_lock" start)"; then printf '%s\n' "$_ws"; fi
  done
}

# unclaimed PATH: a file of the store that no workspace claims and no other name on the disk holds.
unclaimed() {
  # A link from elsewhere: somebody whose claim is lost still uses it.
  [ -f "$1" ] && [ "$(stat -c %h "$1" 2>/dev/null)" = 1 ] && ! claimed "${1##*/}"
}

# drop_unclaimed: removes them, and what was begun and belongs to nobody; says each as `sha256 <tab> bytes`. Two may do so at once.
drop_unclaimed() {
  for _path in "$CACHE"/sha256/*; do
    case $_path in *.ok) continue ;; esac
    unclaimed "$_path" && _size=$(stat -c %s "$_path" 2>/dev/null) || continue
    rm -f "$_path" "$_path.ok"
    printf '%s\t%s\n' "${_path##*/}" "$_size"
  done
  for _path in "$CACHE"/fetch/*; do
    [ -f "$_path" ] || continue
    _sha=${_path##*/}
    _sha=${_sha%%.*}
    case $_sha in
      # Named by its address: who wants it is not known; nobody does after a month.
      url-*) find "$_path" -mtime +30 ! -name '*.seen' -exec rm -f {} \; ;;
      *) claimed "$_sha" || rm -f "$_path" ;;
    esac
  done
}

# drop_compiled [-mtime +DAYS]: what Python compiled (lib-tools.sh) of packages that no workspace has by now.
drop_compiled() {
  _kept=$({ printf '%s\n' "$WORKSPACE" && other_uses | while IFS= read -r _use; do head -n 1 "$_use"; done; } |
    while IFS= read -r _ws; do cut -c 1-16 "$_ws/venv/.atelier-wheels" 2>/dev/null || :; done)
  for _folder in "$CACHE"/pyc/*; do
    _name=${_folder##*/}
    case $_name in *[!0-9a-f]*) continue ;; esac
    [ ${#_name} != 16 ] || printf '%s\n' "$_kept" | grep -qxF "$_name" || find "$_folder" -prune "$@" -exec rm -rf {} \; 2>/dev/null || :
  done
}
