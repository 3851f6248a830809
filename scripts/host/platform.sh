#!/bin/sh
# What a box shows of itself, so that its platform can be recognised (stacks/platforms/). Read-only; runs as `sh -s look`, before anything is laid.
# Variables before it: names, paths, disks, values (words). ATELIER_ROOT: where the box's folders are looked for, for a test that plays a box.
# Of the environment only what is asked for by name leaves this script, and values only of public addresses.
# Its first argument is `look`: a shell that another one's start-up file has started reads this too, and was told nothing.
[ "${1:-}" = look ] || exit 1
root=${ATELIER_ROOT:-}
tab=$(printf '\t')
user=$(id -un 2>/dev/null || id -u)
entry=$([ -n "$root" ] || getent passwd "$user" 2>/dev/null)
[ -n "$entry" ] || entry=$(grep "^$user:" "$root/etc/passwd" 2>/dev/null)
printf 'login\t%s\t%s\t%s\n' "$user" "${HOME:-/}" "${entry##*:}"

# An SSH session has not the container's variables: process 1 has, or a file that the platform writes.
lines() {
  tr '\0' '\n' <"$root/proc/1/environ"
  tr '\0' '\n' <"/proc/self/environ"
  for file in /etc/rp_environment /etc/environment /init/others/help; do
    [ ! -f "$root$file" ] || sed -n 's/^ *\(export  *\)\{0,1\}\([A-Za-z_][A-Za-z0-9_]*=\)/\2/p' "$root$file"
  done
}
lines 2>/dev/null | awk -v names="$names" -v values="$values" '
  BEGIN { split(names, n, " "); for (i in n) wanted[n[i]] = 1; split(values, v, " "); for (i in v) open[v[i]] = 1 }
  {
    at = index($0, "=")
    name = substr($0, 1, at - 1)
    if (at < 2 || name in seen || !(name in wanted || name in open)) next
    seen[name] = 1
    if (name in wanted) print "name\t" name
    value = substr($0, at + 1)
    gsub(/["\047]/, "", value)
    if (name in open && value ~ /^[A-Za-z0-9_.:\/-]+$/) print "value\t" name "\t" value
  }'
for path in $paths; do
  if [ -e "$root$path" ]; then printf 'path\t%s\n' "$path"; fi
done

# A workspace that is there already is found again: its owner, and the cache that it was made with.
workspace() {
  [ -f "$root$1/run/owner" ] || return 0
  cache=$(sed -n 's/^cache=//p' "$root$1/run/preflight/applied" 2>/dev/null | head -n 1)
  printf 'workspace\t%s\t%s\t%s\n' "$1" "$(head -n 1 "$root$1/run/owner")" "$cache"
}
for disk in $disks; do
  case $disk in '~'*) folders=${HOME:-/} ;; *) folders=$root$disk ;; esac
  for folder in $folders; do
    [ -d "$folder" ] || continue
    writable=no
    [ ! -w "$folder" ] || writable=yes
    facts=$(df -Pk "$folder" 2>/dev/null | awk -v t="$tab" 'NR == 2 { printf "%s%s%d%s%d", $6, t, $2 / 1024, t, $4 / 1024 }')
    printf 'disk\t%s\t%s\t%s\t%s\n' "$disk" "${folder#"$root"}" "$facts" "$writable"
    workspace "${folder#"$root"}/atelier"
  done
done
# Which code the GPUs want, such as sm_120: torch has to have it. A driver that hangs keeps nobody waiting.
for smi in "$(command -v nvidia-smi)" /usr/local/nvidia/bin/nvidia-smi /usr/lib/wsl/lib/nvidia-smi /opt/bin/nvidia-smi; do
  [ -x "$smi" ] || continue
  limit=$(command -v timeout)
  ${limit:+timeout 10} "$smi" --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sed -n "s/^ *\([0-9][0-9]*\)\.\([0-9]\) *\$/gpu$tab\1\2/p"
  break
done
for folder in /root "${HOME:-/root}"; do workspace "${folder#"$root"}/atelier"; done
