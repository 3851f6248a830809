import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { expect, it } from "vitest";

const root = resolve(import.meta.dirname, "..");

/** What each folder may import of the others. */
const allowed: Record<string, string[]> = {
  "engine/src/": [],
  "images/": [],
  "rehearsal/": [],
  "stacks/": ["images/"],
  "healthchecks/": ["scripts/dify/"],
  "scripts/": ["stacks/", "images/", "healthchecks/", "rehearsal/"],
};

/** Relative imports of a file, as paths of the repository; `now`: those that are loaded with it. */
function importsOf(file: string): { path: string; now: boolean }[] {
  const text = readFileSync(join(root, file), "utf8");
  const statements = text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^;"]*?\sfrom\s+)?"(\.[^"]+)"/gm);
  const calls = text.matchAll(/\bimport\("(\.[^"]+)"\)/g);
  const at = (path = "") => join(dirname(file), path);
  return [
    ...[...statements].map(([, type, path]) => ({ path: at(path), now: type === undefined })),
    ...[...calls].map(([, path]) => ({ path: at(path), now: false })),
  ];
}

const files = Object.keys(allowed).flatMap((folder) => globSync(`${folder}**/*.{ts,mjs}`, { cwd: root }));
const imports = new Map(files.map((file) => [file, importsOf(file)]));

it("imports between the folders go one way", () => {
  expect(files.length).toBeGreaterThan(400);
  const wrong = Object.entries(allowed).flatMap(([folder, others]) =>
    files
      .filter((file) => file.startsWith(folder))
      .flatMap((file) => imports.get(file)!.map(({ path }) => ({ file, path })))
      .filter(({ path }) => ![folder, ...others].some((one) => path.startsWith(one)))
      .map(({ file, path }) => `${file} imports ${path}`),
  );
  expect(wrong).toEqual([]);
});

it("no file waits for itself to be loaded", () => {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, way: string[]): void => {
    if (way.includes(file)) cycles.push([...way.slice(way.indexOf(file)), file].join(" > "));
    if (way.includes(file) || done.has(file)) return;
    for (const { path, now } of imports.get(file) ?? []) if (now) visit(path, [...way, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(cycles).toEqual([]);
});
