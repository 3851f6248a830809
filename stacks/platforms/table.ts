/** Rentals that Atelier knows, a row each. What a row says is used as a proposal only: every setting overrides it. */

export const platformNames = [
  "autodl",
  "gpushare",
  "runpod",
  "vast",
  "matpool",
  "openbayes",
  "featurize",
  "lambda",
] as const;
export type PlatformName = (typeof platformNames)[number];

/** What a disk's content outlives. */
export type Keeps = "nothing" | "stop" | "release";

export interface Disk {
  /** An absolute folder; may end in `/*`: each folder below it. `~` is the login's home. */
  path: string;
  keeps: Keeps;
  /** Good for big files, slow for the tens of thousands of small ones of a workspace: the cache may lie there. */
  network?: boolean;
  /** Counts only where something is mounted there: else it is a plain folder of the container. */
  mounted?: boolean;
}

export interface Platform {
  title: string;
  /**
   * Sets of signs, one of which must be there as a whole: the name of a variable of the container (never its value), a path, `user:<login>`.
   * The first row of the table that matches counts.
   */
  signs: string[][];
  /** Best first among disks of one size. */
  disks: Disk[];
  /** The ports that the platform maps to the outside, best first. Without: any, or none. */
  ports?: number[];
  /** Public addresses, best first: `{NAME}` is the value of a variable of the container, `<port>` the WebUI's port. */
  urls: string[];
  /** What reaches GitHub and Hugging Face faster: a script that sets proxies, or a proxy. Only while they are fetched from. */
  accelerator?: string;
  /** A script that the platform runs at each start of the container. */
  startHook?: string;
  /** What a user must know, in one sentence each. */
  notes: string[];
  /** Where the row is from, and how sure that is: `documentation` of the platform, `reports` of users who agree, `hearsay` of a few. */
  source: { from: string; sure: "documentation" | "reports" | "hearsay"; seen: string };
}

export const platforms: { [name in PlatformName]: Platform } = {
  autodl: {
    title: "AutoDL",
    signs: [["AutoDLContainerUUID"], ["AutoDLRegion"], ["/etc/network_turbo", "/root/autodl-tmp"]],
    disks: [
      { path: "/root/autodl-tmp", keeps: "stop" },
      { path: "/root", keeps: "stop" },
    ],
    ports: [6006, 6008],
    urls: ["{AutoDLService<port>URL}"],
    accelerator: "/etc/network_turbo",
    notes: [
      "A box that is switched off is released after 15 days.",
      "If the public link is not open to your account (it may want a verified one): webui.exposure: tunnel.",
      "It runs nothing of ours at its start; after a restart, `up` starts the WebUI again.",
    ],
    source: {
      from: "autodl.com/docs (port, env, service agreement) as cited by users; login banner",
      sure: "reports",
      seen: "2026-09",
    },
  },
  gpushare: {
    title: "gpushare (恒源云)",
    signs: [["/hy-tmp", "/hy-public"]],
    disks: [
      { path: "/hy-tmp", keeps: "stop" },
      { path: "/hy-nas", keeps: "release", network: true, mounted: true },
    ],
    ports: [8080],
    // The outer port stands in the console alone.
    urls: [],
    accelerator: "http://turbo.gpushare.com:30000",
    notes: [
      "/hy-tmp is cleared 24 hours after a stop, and the box is released after 10 days.",
      "Port 8080 is the one that it maps: webui.publicUrl is the link of its custom service in the console.",
      "It runs nothing of ours at its start; after a restart, `up` starts the WebUI again.",
    ],
    source: {
      from: "gpushare.com/docs (custom service, network turbo), login banner",
      sure: "reports",
      seen: "2026-06",
    },
  },
  runpod: {
    title: "RunPod",
    signs: [["RUNPOD_POD_ID"]],
    disks: [
      { path: "/workspace", keeps: "stop", mounted: true },
      { path: "/root", keeps: "nothing" },
    ],
    urls: ["http://{RUNPOD_PUBLIC_IP}:{RUNPOD_TCP_PORT_<port>}"],
    notes: [
      "The container's own disk is cleared by a stop and by any edit of the Pod; `up` mends what was on it.",
      "A port exposed as HTTP is reached by webui.publicUrl: https://<pod>-<port>.proxy.runpod.net, which cuts answers that take 100 s.",
    ],
    source: {
      from: "runpod/docs: pods/storage/types, pods/configuration/expose-ports; runpod/containers start.sh",
      sure: "documentation",
      seen: "2026-08",
    },
  },
  vast: {
    title: "vast.ai",
    signs: [["VAST_CONTAINERLABEL"], ["CONTAINER_ID", "VAST_TCP_PORT_22"]],
    disks: [
      { path: "/workspace", keeps: "stop" },
      { path: "/root", keeps: "stop" },
    ],
    urls: ["http://{PUBLIC_IPADDR}:{VAST_TCP_PORT_<port>}"],
    startHook: "/root/onstart.sh",
    notes: ["A stopped box is billed for its disk until it is destroyed."],
    source: {
      from: "vast-ai/docs: docker-environment, networking, storage/types",
      sure: "documentation",
      seen: "2026-08",
    },
  },
  matpool: {
    title: "Matpool (矩池云)",
    signs: [["MATCLOUD_CANCELTOKEN"], ["/public/script/matncli"]],
    disks: [
      { path: "/root", keeps: "nothing" },
      { path: "/mnt", keeps: "release", network: true, mounted: true },
    ],
    urls: [],
    notes: [
      "It has no stop, only a release: what does not lie in /mnt goes with it.",
      "A port must be named when the box is rented; webui.publicUrl is its link in the console.",
    ],
    source: { from: "matpool.com/supports as cited by users", sure: "hearsay", seen: "2026-09" },
  },
  openbayes: {
    title: "OpenBayes",
    signs: [["OPENBAYES_JOB_URL"], ["/openbayes/home"]],
    disks: [
      { path: "/output", keeps: "stop" },
      { path: "/openbayes/home", keeps: "stop" },
      { path: "/root", keeps: "nothing" },
    ],
    ports: [8080],
    urls: [],
    notes: [
      "Everything outside /output is as in the image after a restart, and the SSH port is another one.",
      "Port 8080 is mapped for accounts with a checked name: webui.publicUrl is its link in the console.",
    ],
    source: {
      from: "openbayes.com/docs (gear/storage-persistence), openbayes-cli 0.28.5, users' notes",
      sure: "reports",
      seen: "2026-10",
    },
  },
  featurize: {
    title: "Featurize",
    signs: [["FEATURIZE_USER_ID"], ["user:featurize", "/home/featurize/work"]],
    disks: [
      { path: "/home/featurize", keeps: "nothing" },
      { path: "/home/featurize/work", keeps: "release", network: true },
    ],
    urls: [],
    notes: [
      "It has no stop, only a return: what does not lie in ~/work goes with it.",
      "A port is opened by `featurize port export <port>` on the box; webui.publicUrl is what that prints.",
    ],
    source: {
      from: "featurize 0.0.27 (PyPI), louis-she/featurize-doc of 2021, users' notes",
      sure: "reports",
      seen: "2026-06",
    },
  },
  lambda: {
    title: "Lambda",
    signs: [
      ["user:ubuntu", "/lambda/nfs"],
      ["user:ubuntu", "/etc/apt/sources.list.d/lambda-repository.list"],
    ],
    disks: [
      { path: "~", keeps: "nothing" },
      { path: "/lambda/nfs/*", keeps: "release", network: true, mounted: true },
    ],
    urls: [],
    notes: [
      "It has no stop: terminate it in the console; `shutdown` inside goes on being billed.",
      "Its firewall opens port 22 alone.",
    ],
    source: { from: "docs.lambda.ai/public-cloud (billing, on-demand)", sure: "documentation", seen: "2026-06" },
  },
};
