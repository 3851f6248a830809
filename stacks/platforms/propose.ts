import { type TorchBuild, type TorchName, torchBuilds, torchNames } from "../../images/torch.ts";
import type { Seen, SeenDisk } from "./seen.ts";
import { variablesOf } from "./seen.ts";
import { type Disk, type Keeps, type Platform, type PlatformName, platforms } from "./table.ts";

/** Settings that a platform proposes, under the names that they have in `stacks/Pulumi.<stack>.yaml`. */
export interface Proposal {
  host: {
    workspace?: string | undefined;
    cache?: string | undefined;
    accelerator?: string | undefined;
    startHook?: string | undefined;
  };
  webui: {
    port?: number | undefined;
    publicUrl?: string | undefined;
    exposure?: "tunnel" | undefined;
    torch?: TorchName | undefined;
  };
}

/** What a cache must have room for where it is not beside the workspace: two checkpoints and the wheels. */
const cacheMb = 15_000;

/**
 * What to set where the settings are silent.
 * @param seen what the box showed; without it (a box that is not rented yet) the table alone
 * @param given what the settings say themselves
 * @param owner the stack's name on a workspace: one that is there already is kept
 */
export function propose(
  name: PlatformName | "plain",
  seen: Seen | undefined,
  given: { port?: number; publicUrl?: string; exposure?: string; gpu?: string },
  owner: string,
): Proposal {
  const own = seen?.workspaces.find((workspace) => workspace.owner === owner);
  const torch = given.gpu === "none" ? undefined : torchFor(seen?.gpus ?? []);
  const kept = own && { workspace: own.path, ...(own.cache ? { cache: own.cache } : {}) };
  if (name === "plain") {
    // The default is root's; another user can't write there.
    const home = seen && seen.user !== "root" && seen.home ? { workspace: `${seen.home}/atelier` } : {};
    return withoutGaps({ host: kept ?? home, webui: { torch } });
  }
  const row: Platform = platforms[name];
  const port = given.port ?? row.ports?.[0] ?? defaultPort;
  const publicUrl = given.exposure === "tunnel" ? undefined : publicAddress(row, port, seen);
  // An address that nobody reaches would fail at the very end: rather through SSH than not at all.
  const tunnel = publicUrl === undefined && given.publicUrl === undefined && given.exposure === undefined;
  const there = (what: string | undefined) =>
    what !== undefined && (!what.startsWith("/") || seen === undefined || seen.paths.includes(what)) ? what : undefined;
  return withoutGaps({
    host: {
      ...(kept ?? folders(row, seen)),
      accelerator: there(row.accelerator),
      startHook: there(row.startHook),
    },
    webui: {
      port: given.port === undefined && port !== defaultPort ? port : undefined,
      publicUrl: given.publicUrl === undefined ? publicUrl : undefined,
      exposure: tunnel ? "tunnel" : undefined,
      torch,
    },
  });
}

/** As `webui.port` has it in the schema. */
const defaultPort = 8080;

function withoutGaps(proposal: Proposal): Proposal {
  return JSON.parse(JSON.stringify(proposal)) as Proposal;
}

/** Another build of torch than the release's own, where that one has code for none of the GPUs. */
function torchFor(gpus: number[]): TorchName | undefined {
  const serves = ({ minSm, maxSm }: TorchBuild) => gpus.some((sm) => sm >= minSm && sm <= maxSm);
  const first = torchNames.find((name) => serves(torchBuilds[name]));
  return first === torchNames[0] ? undefined : first;
}

/** The first of a platform's addresses whose variables the box has. */
function publicAddress(row: Platform, port: number, seen: Seen | undefined): string | undefined {
  for (const url of row.urls) {
    const variables = variablesOf(url, port);
    if (!variables.every((variable) => seen?.values[variable])) continue;
    const address = url
      .replaceAll("<port>", String(port))
      .replaceAll(/\{(\w+)\}/g, (_, variable: string) => seen?.values[variable] ?? "");
    if (URL.canParse(address) && /^https?:/.test(address)) return address.replace(/\/$/, "");
  }
  return undefined;
}

const ranks: { [keeps in Keeps]: number } = { nothing: 0, stop: 1, release: 2 };

/** The workspace on the largest local disk that survives a stop; the cache elsewhere only where it survives more, and has room. */
function folders(row: Platform, seen: Seen | undefined): { workspace?: string; cache?: string } {
  if (seen === undefined) {
    const first = row.disks.find(({ path, network }) => path.startsWith("/") && !network);
    return first ? { workspace: below(first.path, "atelier") } : {};
  }
  const usable = seen.disks.flatMap((there) => {
    const disk = row.disks.find(({ path }) => path === there.of);
    return disk && there.writable && (!disk.mounted || there.mount !== "/") ? [{ disk, there }] : [];
  });
  const order = (a: { disk: Disk; there: SeenDisk }, b: { disk: Disk; there: SeenDisk }) =>
    ranks[b.disk.keeps] - ranks[a.disk.keeps] ||
    b.there.sizeMb - a.there.sizeMb ||
    row.disks.indexOf(a.disk) - row.disks.indexOf(b.disk);
  const workspace = usable.filter(({ disk }) => !disk.network).sort(order)[0];
  const cache = usable.filter(({ there }) => there.freeMb >= cacheMb).sort(order)[0];
  const better = cache && (!workspace || ranks[cache.disk.keeps] > ranks[workspace.disk.keeps]);
  return {
    ...(workspace ? { workspace: below(workspace.there.path, "atelier") } : {}),
    ...(cache && better ? { cache: below(cache.there.path, "atelier-cache") } : {}),
  };
}

const below = (folder: string, name: string) => `${folder.replace(/\/$/, "")}/${name}`;

/** What the proposed disk outlives, for people. */
export function keeps(name: PlatformName, workspace: string): Keeps | undefined {
  const disks = [...platforms[name].disks].sort((a, b) => b.path.length - a.path.length);
  return disks.find(({ path }) => workspace.startsWith(`${path}/`))?.keeps;
}
