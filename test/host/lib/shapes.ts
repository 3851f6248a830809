import type { PlatformName } from "../../../stacks/platforms/table.ts";
import type { Shape } from "./box.ts";

/** Texts that stand for what a container's environment holds of credentials: none of them may leave the box. */
export const planted = ["planted-token-1", "planted-token-2", "planted-line-3", "planted-token-4", "planted-token-5"];
const credentials = {
  RUNPOD_API_KEY: planted[0] ?? "",
  AutodlAutoPanelToken: planted[1] ?? "",
  // A value of several lines, as a private key is; a line of it looks like a variable.
  SOME_KEY: `-----BEGIN\n${planted[2]}\nRUNPOD=${planted[3]}\n-----END`,
  CONTAINER_API_KEY: planted[4] ?? "",
  JUPYTER_TOKEN: planted[0] ?? "",
};

/** A box of each platform, as told by its row's source. */
export const shapes: { [name in PlatformName | "plain"]: Shape } = {
  autodl: {
    variables: {
      ...credentials,
      AutoDLContainerUUID: "0123abc",
      AutoDLRegion: "west",
      AutoDLService6006URL: "https://u1-2-3.west.example.com:8443",
    },
    files: { "/etc/network_turbo": "export http_proxy=http://127.0.0.1:1\n" },
    disks: {
      "/root/autodl-tmp": { mount: "/root/autodl-tmp", sizeMb: 50_000 },
      "/root/autodl-fs": { mount: "/autodl-fs/data", sizeMb: 200_000 },
    },
  },
  gpushare: {
    variables: credentials,
    disks: {
      "/hy-tmp": { mount: "/hy-tmp", sizeMb: 100_000 },
      "/hy-public": { mount: "/hy-public", sizeMb: 900_000 },
    },
  },
  runpod: {
    variables: {
      ...credentials,
      RUNPOD_POD_ID: "abc123",
      RUNPOD_PUBLIC_IP: "203.0.113.5",
      RUNPOD_TCP_PORT_22: "40022",
      RUNPOD_TCP_PORT_8080: "40080",
    },
    disks: { "/workspace": { mount: "/workspace", sizeMb: 20_000 } },
  },
  vast: {
    variables: {
      ...credentials,
      CONTAINER_ID: "77",
      VAST_CONTAINERLABEL: "C.77",
      VAST_TCP_PORT_22: "31022",
      VAST_TCP_PORT_8080: "31080",
      PUBLIC_IPADDR: "203.0.113.9",
    },
    files: { "/root/onstart.sh": "#!/bin/bash\nentrypoint.sh\n" },
    disks: { "/workspace": { mount: "/", sizeMb: 30_000 } },
  },
  matpool: {
    variables: { ...credentials, MATCLOUD_CANCELTOKEN: planted[1] ?? "" },
    disks: { "/mnt": { mount: "/mnt", sizeMb: 5_000 } },
  },
  openbayes: {
    variables: credentials,
    disks: {
      "/openbayes/home": { mount: "/output", sizeMb: 60_000 },
      "/output": { mount: "/output", sizeMb: 60_000 },
    },
    shell: "/usr/bin/fish",
  },
  featurize: {
    user: "featurize",
    variables: { ...credentials, FEATURIZE_USER_ID: "1" },
    disks: {
      "/home/featurize": { mount: "/home/featurize", sizeMb: 80_000 },
      "/home/featurize/work": { mount: "/cloud", sizeMb: 40_000 },
    },
  },
  lambda: {
    user: "ubuntu",
    variables: credentials,
    disks: {
      "/home/ubuntu": { mount: "/", sizeMb: 400_000 },
      "/lambda/nfs/mine": { mount: "/lambda/nfs/mine", sizeMb: 8_000_000 },
    },
  },
  plain: { variables: credentials },
};
