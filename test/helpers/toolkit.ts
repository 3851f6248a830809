import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** A card as the stand-in nvidia-smi tells of it. */
export interface Card {
  name: string;
  memoryMb: number;
  computeCapability: string;
}

const smi = resolve(import.meta.dirname, "../../rehearsal/nvidia-smi");

/**
 * A folder for the PATH of a Docker engine, with a stand-in for NVIDIA's container toolkit: the engine finds the hook by its name, as it
 * finds the real one, and has it called for each container that asks for GPUs, with those that it asked for. As the real one does, it
 * puts an nvidia-smi into the container, which knows those alone.
 */
export function fakeToolkit(dir: string, cards: Card[]): string {
  const folder = join(dir, "toolkit");
  mkdirSync(folder, { recursive: true });
  const rows = cards.map(({ name, memoryMb, computeCapability }) => [name, memoryMb, computeCapability].join("\t"));
  writeFileSync(join(folder, "cards"), `${rows.join("\n")}\n`);
  copyFileSync(smi, join(folder, "nvidia-smi"));
  const hook = join(folder, "nvidia-container-runtime-hook");
  writeFileSync(
    hook,
    `#!/bin/sh
# Standard input is what the runtime knows of the container.
set -eu
bundle=$(sed -n 's/.*"bundle": *"\\([^"]*\\)".*/\\1/p')
field() { grep -o "$1" "$bundle/config.json" | head -n 1 | sed 's/^[^:=]*[:=]"\\{0,1\\}//; s/"$//'; }
root=$(field '"root":{"path":"[^"]*"' | sed 's/.*"path":"//')
wanted=$(field 'NVIDIA_VISIBLE_DEVICES=[^"]*')
case $root in /*) ;; *) root=$bundle/$root ;; esac
{
  echo 535.54.03
  index=0
  while IFS= read -r card; do
    case ",$wanted," in ,all, | *,$index,*) printf '%s\\n' "$card" ;; esac
    index=$((index + 1))
  done <'${folder}/cards'
} >"$root/usr/bin/nvidia-smi.gpus"
cp '${folder}/nvidia-smi' "$root/usr/bin/nvidia-smi"
chmod 755 "$root/usr/bin/nvidia-smi"
`,
  );
  chmodSync(hook, 0o755);
  return folder;
}
