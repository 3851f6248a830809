import type { Call } from "./engine.ts";
import type { Input } from "./input.ts";

/**
 * Makes the volumes that are gone again, with their labels. An engine makes one by itself for a container that names it, and says of
 * such a volume nothing: neither whose it is, nor by what password its content was made. One that is there stays as it is.
 * @returns the names of those that were made
 */
export async function makeVolumes({ volumes }: Input<"volumes">, call: Call): Promise<{ made: string[] }> {
  const { engine, say } = call;
  const { Volumes } = await engine.ask("list the volumes", call, (docker) => docker.listVolumes());
  const gone = Object.entries(volumes).filter(([name]) => !Volumes?.some((one) => one.Name === name));
  for (const [name, labels] of gone) {
    say(`${name} is gone, with what was in it: made again`);
    await engine.ask(`make the volume ${name}`, call, (docker) =>
      docker.createVolume({ Name: name, Driver: "local", Labels: labels }),
    );
  }
  return { made: gone.map(([name]) => name) };
}
