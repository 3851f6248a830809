/** One field of a protobuf message: its number, and its bytes (none for a number). */
export interface WireField {
  number: number;
  bytes: Buffer;
}

const NONE = Buffer.alloc(0);

/** The fields of a protobuf message, as far as it can be read. */
export function fieldsOf(message: Buffer): WireField[] {
  const fields: WireField[] = [];
  for (let at = 0; at < message.length; ) {
    const [tag, next] = readVarint(message, at);
    const [number, type] = [tag >>> 3, tag & 7];
    if (type === 2) {
      const [length, start] = readVarint(message, next);
      fields.push({ number, bytes: message.subarray(start, start + length) });
      at = start + length;
    } else if (type === 0) {
      fields.push({ number, bytes: NONE });
      [, at] = readVarint(message, next);
    } else if (type === 1 || type === 5) {
      fields.push({ number, bytes: NONE });
      at = next + (type === 1 ? 8 : 4);
    } else break;
  }
  return fields;
}

/** Of a number beyond 32 bits the low ones: tags and lengths are smaller. */
function readVarint(bytes: Buffer, from: number): [value: number, next: number] {
  let value = 0;
  for (let at = from, shift = 0; at < bytes.length; at++, shift += 7) {
    const byte = bytes[at] ?? 0;
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return [value >>> 0, at + 1];
  }
  return [0, bytes.length];
}
