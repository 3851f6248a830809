#!/bin/sh
# What the image wants, by apt, and only where something of it is missing: a base that has it all needs no network.
# Usage: packages.sh [apt mirror]
set -eu

missing() {
  for _command in git tini aria2c ssh-keygen; do command -v "$_command" >/dev/null || echo "$_command"; done
  [ -x /usr/sbin/sshd ] || echo sshd
  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  [ -s /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
  for _library in libGL.so.1 libglib-2.0.so.0; do
    ldconfig -p | grep -q "$_library" || echo "$_library"
  done
}

if [ -n "$(missing)" ]; then
  mirror=${1:-}
  if [ -n "$mirror" ]; then
    # shellcheck source=/dev/null
    . /etc/os-release
    parts=main
    [ "$ID" != ubuntu ] || parts='main universe'
    for suite in "$VERSION_CODENAME" "$VERSION_CODENAME-updates"; do
      echo "deb ${mirror%/}/$ID $suite $parts"
    done >/etc/apt/sources.list.d/atelier.list
    # A mirror may speak https before there are certificates; packages are signed all the same.
    set -- -o Acquire::https::Verify-Peer=false -o Dir::Etc::SourceList=/etc/apt/sources.list.d/atelier.list -o Dir::Etc::SourceParts=-
  else
    set --
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get "$@" -o Acquire::Retries=2 update
  apt-get "$@" -o Acquire::Retries=2 install -y --no-install-recommends \
    git ca-certificates python3 python3-venv libgl1 libglib2.0-0 aria2 openssh-server tini
  rm -rf /var/lib/apt/lists/* /etc/apt/sources.list.d/atelier.list
fi
left=$(missing | tr "\n" " ")
[ -z "$left" ] || { echo "packages.sh: still missing in the image: $left" >&2 && exit 1; }

# Keys are given to a container, never baked into an image that others get too.
rm -f /etc/ssh/ssh_host_*
# Without PAM, sshd refuses an account whose password is locked, also to a key. A star lets no password in.
sed -i 's/^root:![^:]*:/root:*:/' /etc/shadow
