import { basename } from "node:path";
import type { Manifest } from "./manifest.ts";

/**
 * A simple index (PEP 503) of files that lie below `/wheels/`.
 * @returns path, with a slash at its end -> page
 */
export function indexPages(wheels: Manifest["wheels"]): Map<string, string> {
  const projects = Map.groupBy(wheels, ({ project }) => project.toLowerCase().replace(/[-_.]+/g, "-"));
  const pages = new Map<string, string>();
  for (const [project, files] of projects) {
    const links = files.map(
      ({ path, sha256 }) =>
        `<a href="/wheels/${encodeURIComponent(basename(path))}#sha256=${sha256}">${basename(path)}</a><br>`,
    );
    pages.set(`/simple/${project}/`, `<!doctype html><title>${project}</title>\n${links.join("\n")}\n`);
  }
  pages.set(
    "/simple/",
    `<!doctype html><title>bundle</title>\n${[...projects.keys()].map((name) => `<a href="/simple/${name}/">${name}</a>`).join("\n")}\n`,
  );
  return pages;
}
