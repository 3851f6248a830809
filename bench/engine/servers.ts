import type { Sshd } from "../../test/helpers/sshd.ts";

/** What Debian's own sshd_config sets. */
export const AS_DEBIAN_SHIPS_IT = [
  "UsePAM yes",
  "KbdInteractiveAuthentication no",
  "X11Forwarding yes",
  "PrintMotd no",
  "AcceptEnv LANG LC_*",
  "Subsystem sftp /usr/lib/openssh/sftp-server",
];

export async function stopAll(servers: Sshd[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
}
