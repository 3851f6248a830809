# What of a cache's folder is ours, and its removal. Besides 00-workspace.sh, scripts/cli/leftCache.ts sends this to a host before its own
# lines, where no workspace is left: it uses nothing but CACHE.

cached='apt bundle cold conda fetch git hf pip pyc python sha256 uses uv wheels xdg'

# found NAME: it lay there before the first workspace, and is somebody else's.
found() { grep -qxF "$1" "$CACHE/.atelier" 2>/dev/null; }

drop_cached() {
  for _name in $cached; do found "$_name" || rm -rf "${CACHE:?}/$_name" || return 1; done
  # While something of theirs stays, so does the note: it is theirs for the next workspace, too.
  [ -n "$(ls "$CACHE")" ] || rm -f "$CACHE/.atelier"
}
