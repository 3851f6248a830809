import { fingerprintLabel } from "../../stacks/docker/fingerprint.ts";
import type { Call } from "./engine.ts";
import { presentImage } from "./images.ts";
import type { Input } from "./input.ts";
import { whatLacks } from "./lacks.ts";

/** What is not as it was left, by name, and why. */
export interface Seen {
  containers: Record<string, string>;
  networks: Record<string, string>;
  images: Record<string, string>;
  volumes: Record<string, string>;
  /** What has a name of ours and is somebody else's; of volumes also those whose content was made with another password. */
  foreign: { containers: string[]; networks: string[]; volumes: string[] };
  /** What nothing brings, where nothing may be fetched, and what to do; empty: nothing lacks. */
  lacks: string;
}

type Labels = Record<string, string> | null | undefined;

/**
 * Asks the engine how everything stands; changes nothing.
 * @param bundle a bundle's folder on this machine
 */
export async function look(input: Input<"look">, call: Call, bundle?: string): Promise<Seen> {
  const { owner, fingerprint, containers, networks, joins, volumes, images, mirrors } = input;
  const { engine } = call;
  const [boxes, nets, stores] = await Promise.all([
    engine.ask("list the containers", call, (docker) => docker.listContainers({ all: true })),
    engine.ask("list the networks", call, (docker) => docker.listNetworks()),
    engine.ask("list the volumes", call, (docker) => docker.listVolumes()),
  ]);
  const isOthers = (labels: Labels) => (labels?.[fingerprintLabel] ?? fingerprint) !== fingerprint;
  // Without a fingerprint it was made by an Atelier of before.
  const isOurs = (labels: Labels) => labels?.["atelier.dify"] === owner && !isOthers(labels);
  const seen: Seen = {
    ...{ containers: {}, networks: {}, images: {}, volumes: {} },
    foreign: { containers: [], networks: [], volumes: [] },
    lacks: "",
  };
  for (const name of networks) {
    const called = nets.filter((net) => net.Name === name);
    if (called.length === 0) seen.networks[name] = `there is no network ${name}`;
    else if (!called.some(({ Labels }) => isOurs(Labels))) seen.foreign.networks.push(name);
  }
  for (const name of containers) {
    const box = boxes.find(({ Names }) => Names.includes(`/${name}`));
    if (!box) seen.containers[name] = `there is no container ${name}`;
    else if (!isOurs(box.Labels)) seen.foreign.containers.push(name);
    else if (box.State !== "running") seen.containers[name] = `the container ${name} does not run (${box.Status})`;
    else if (/\(unhealthy\)/.test(box.Status)) seen.containers[name] = `the container ${name} is unhealthy`;
    else {
      const joined = Object.keys(box.NetworkSettings?.Networks ?? {});
      const lost = networks.find((net) => net in seen.networks && joined.includes(net));
      const left = joins[name]?.find((net) => !joined.includes(net));
      if (lost) seen.containers[name] = `the container ${name} was in the network ${lost}, which is gone`;
      else if (left) seen.containers[name] = `the container ${name} was taken from the network ${left}`;
    }
  }
  // One that has done its work runs no more, and has a name that is wanted again.
  for (const { Names, Labels } of boxes) {
    const name = Names[0]?.slice(1) ?? "";
    if (Labels?.["atelier.dify"] === owner && isOthers(Labels) && !containers.includes(name))
      seen.foreign.containers.push(name);
  }
  for (const [name, password] of Object.entries(volumes)) {
    const store = stores.Volumes?.find((one) => one.Name === name);
    if (!store) seen.volumes[name] = `there is no volume ${name}`;
    else if (isOthers(store.Labels) || (password && store.Labels?.[fingerprintLabel] !== password))
      seen.foreign.volumes.push(name);
  }
  await Promise.all(
    Object.entries(images).map(async ([key, name]) => {
      if (!(await presentImage(name, mirrors, call))) seen.images[key] = `there is no image ${name}`;
    }),
  );
  if (input.offline) {
    // Of Dify's volumes only the database's has a password.
    const fresh = Object.entries(volumes).some(([name, password]) => password && name in seen.volumes);
    // In the order of the settings: the answers come in any.
    const missing = new Set(Object.entries(images).flatMap(([key, name]) => (key in seen.images ? [name] : [])));
    seen.lacks = whatLacks(input, { missing: [...missing], fresh, bundle });
  }
  return seen;
}
