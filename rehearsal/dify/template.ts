/** A piece of a template: words, or a node's value. */
export type Piece = { words: string } | { node: string; field: string };

/** The pieces of `Prompt: {{#llm.text#}} …`. */
export function piecesOf(template: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of template.matchAll(/\{\{#([^#.]+)\.([^#]+)#\}\}/g)) {
    const before = template.slice(from, match.index);
    if (before) pieces.push({ words: before });
    pieces.push({ node: match[1] ?? "", field: match[2] ?? "" });
    from = match.index + match[0].length;
  }
  const after = template.slice(from);
  if (after) pieces.push({ words: after });
  return pieces;
}
