/**
 * UTF-8 of all pieces, one after the other, each copied once. A state is joined anew for every save, of pieces that are the same for
 * most of its resources: as texts they would be copied, joined and encoded again each time.
 */
export function joinBytes(pieces: readonly (string | Uint8Array)[]): Uint8Array {
  const encoded = pieces.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : piece));
  const bytes = Buffer.allocUnsafe(encoded.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of encoded) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
