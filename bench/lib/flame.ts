/** What node's --cpu-prof writes; times in microseconds. */
export interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number }; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
}

interface Frame {
  name: string;
  where: string;
  time: number;
  children: Map<string, Frame>;
}

const WIDTH = 1600;
const ROW = 16;
const NARROWEST = 0.6;
const MARGIN = 28;

/** A flame graph as SVG: width is processor time, depth the stack; what is drawn under the pointer is told by the browser. */
export function flameGraph(profile: Profile, title: string): string {
  const root = tree(profile);
  const depth = depthOf(root);
  const scale = WIDTH / root.time;
  const rows: string[] = [];
  draw(root, 0, 0);
  const height = MARGIN + (depth + 1) * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" fill="#fff"/><text x="6" y="18" font-size="14">${escaped(title)}; ${(root.time / 1e6).toFixed(1)} s of it busy</text>
${rows.join("\n")}
</svg>
`;

  function draw(frame: Frame, x: number, level: number): void {
    const width = frame.time * scale;
    if (width < NARROWEST) return;
    const y = MARGIN + level * ROW;
    const share = ((100 * frame.time) / root.time).toFixed(1);
    const label =
      width > 40
        ? `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${escaped(frame.name.slice(0, Math.floor(width / 7)))}</text>`
        : "";
    rows.push(
      `<g><title>${escaped(`${frame.name} ${frame.where} ${(frame.time / 1000).toFixed(0)} ms, ${share} %`)}</title><rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="${colour(frame.where)}"/>${label}</g>`,
    );
    let at = x;
    for (const child of [...frame.children.values()].sort((a, b) => b.time - a.time)) {
      draw(child, at, level + 1);
      at += child.time * scale;
    }
  }
}

function tree({ nodes, samples, timeDeltas }: Profile): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)));
  const root: Frame = { name: "all", where: "", time: 0, children: new Map() };
  samples.forEach((id, index) => {
    const stack = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const node = byId.get(at);
      if (node) stack.unshift(node.callFrame);
    }
    const [, ...frames] = stack;
    // Waiting is no work.
    if (frames.length === 0 || frames.at(-1)?.functionName === "(idle)") return;
    const time = timeDeltas[index] ?? 0;
    let frame = root;
    frame.time += time;
    for (const { functionName, url, lineNumber } of frames) {
      const name = functionName || "(anonymous)";
      const where =
        url === ""
          ? ""
          : `${url.replace(/^.*\/node_modules\//, "").replace(/^.*\/(?=(engine\/src|bench)\/)/, "")}:${lineNumber + 1}`;
      const key = `${name} ${where}`;
      let child = frame.children.get(key);
      if (!child) {
        child = { name, where, time: 0, children: new Map() };
        frame.children.set(key, child);
      }
      child.time += time;
      frame = child;
    }
  });
  return root;
}

const depthOf = (frame: Frame): number => 1 + Math.max(0, ...[...frame.children.values()].map(depthOf));

/** The engine's own code, its packages, Node itself. */
function colour(where: string): string {
  if (where.startsWith("engine/src/")) return "#f4a261";
  if (where.startsWith("node:") || where === "") return "#cbd5e1";
  return "#a3c9a8";
}

const escaped = (text: string) => text.replace(/[<>&"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
