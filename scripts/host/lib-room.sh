# A full disk, by its name: what fails on one seldom says so.

# room FOLDER: a megabyte can be written there; else ROOM is what the system says. Tried, as df knows neither quotas nor what is kept for root.
room() {
  _room=0
  ROOM=$(LC_ALL=C dd if=/dev/zero of="$1/.room.$$" bs=65536 count=16 2>&1) || _room=1
  rm -f "$1/.room.$$"
  ROOM=$(printf '%s\n' "$ROOM" | sed -n 's/^dd: .*: //p' | head -n 1)
  return $_room
}

# blame_disk CODE FOLDER...: ends the step where one of them, or what it is going to lie in, is on a full disk; else does nothing.
blame_disk() {
  _blamed=$1
  shift
  for _folder in "$@"; do
    while [ ! -d "$_folder" ]; do _folder=$(dirname "$_folder"); done
    if room "$_folder"; then continue; fi
    case $ROOM in
      *'No space left'* | *'uota exceeded'*)
        die "no room on $(df -Pk "$_folder" | awk 'NR == 2 { print $6 }') ($ROOM): make room there, or set host.workspace and host.cache to folders on a larger disk, and run again" "$_blamed"
        ;;
    esac
  done
}
