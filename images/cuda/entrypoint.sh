#!/bin/sh
# The container's work: an SSH server that shows the key it was given and lets the one key in that it was given,
# and, after a restart, the service that a step on the host has left. Files: /etc/atelier/{host_key,authorized_keys}.
# Environment: ATELIER_SSH_LISTEN (address:port, 0.0.0.0:22), ATELIER_WORKSPACE.
set -eu
keys=/etc/atelier
own=/run/atelier

for file in host_key authorized_keys; do
  if [ ! -s "$keys/$file" ]; then
    echo "atelier: $keys/$file is not there: the container wants its host key and the key that may log in, as files" >&2
    exit 64
  fi
done
mkdir -p "$own" /run/sshd
chmod 755 /run/sshd
# sshd refuses a private key that others can read, and a list that others can write.
(umask 077 && cat "$keys/host_key" >"$own/host_key" && cat "$keys/authorized_keys" >"$own/authorized_keys")

# Sessions know of the graphics cards what the container knows; nothing else of its environment.
setenv=''
for name in PATH LD_LIBRARY_PATH CUDA_HOME NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES TZ; do
  eval "value=\${$name:-}"
  [ -z "$value" ] || case $value in *[!A-Za-z0-9_./:,+-]*) ;; *) setenv="$setenv $name=$value" ;; esac
done
cat >"$own/sshd_config" <<END
ListenAddress ${ATELIER_SSH_LISTEN:-0.0.0.0:22}
HostKey $own/host_key
AuthorizedKeysFile $own/authorized_keys
PidFile $own/sshd.pid
AuthenticationMethods publickey
AllowUsers root
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
X11Forwarding no
AllowTcpForwarding yes
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
END
[ -z "$setenv" ] || echo "SetEnv$setenv" >>"$own/sshd_config"

start=${ATELIER_WORKSPACE:-/atelier/workspace}/run/start-service.sh
if [ -f "$start" ]; then
  echo "atelier: starting the service again ($start)" >&2
  sh "$start" || echo "atelier: $start failed with $?; \`up\` mends that" >&2
fi
exec /usr/sbin/sshd -D -e -f "$own/sshd_config"
