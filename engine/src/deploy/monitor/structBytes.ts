// google-protobuf writes a message into a list of numbers, one for each byte: twenty times the size of a text while it does so, and
// a second for a hundred megabytes of them. The answers to registrations carry all that commands have said, and are written here.

/** The wire types of protobuf that a Struct uses. */
const VARINT = 0;
const DOUBLE = 1;
const LENGTH = 2;

/**
 * A message's bytes with a google.protobuf.Struct as one more field of it.
 * @param head the message without that field
 * @param object as `Struct.fromJavaScript()` takes it
 */
export function appendStruct(head: Uint8Array, field: number, object: Record<string, unknown>): Buffer {
  const sizes: number[] = [];
  const size = structSize(object, sizes);
  const bytes = Buffer.allocUnsafe(head.length + 1 + varintSize(size) + size);
  bytes.set(head);
  const writer = new Writer(bytes, head.length, sizes);
  writer.tag(field, LENGTH);
  writer.varint(size);
  writer.struct(object);
  return bytes;
}

// Sizes are taken down in the order of writing: a length stands before what it is the length of.

function structSize(object: Record<string, unknown>, sizes: number[]): number {
  let size = 0;
  for (const [key, value] of Object.entries(object)) {
    const at = sizes.push(0) - 1;
    const entry = textSize(key, sizes) + delimited(valueSize(value, sizes));
    sizes[at] = entry;
    size += delimited(entry);
  }
  return size;
}

/** Of a value's own message, whose size is taken down too. */
function valueSize(value: unknown, sizes: number[]): number {
  const at = sizes.push(0) - 1;
  const size = contentSize(value, sizes);
  sizes[at] = size;
  return size;
}

function contentSize(value: unknown, sizes: number[]): number {
  if (value === null || typeof value === "boolean") return 2;
  if (typeof value === "number") return 9;
  if (typeof value === "string") return textSize(value, sizes);
  if (typeof value !== "object") throw new Error(`A property of type ${typeof value} can't be told to the program.`);
  const at = sizes.push(0) - 1;
  const inner = Array.isArray(value)
    ? value.reduce((sum: number, element) => sum + delimited(valueSize(element, sizes)), 0)
    : structSize(value as Record<string, unknown>, sizes);
  sizes[at] = inner;
  return delimited(inner);
}

function textSize(text: string, sizes: number[]): number {
  const size = Buffer.byteLength(text);
  sizes.push(size);
  return delimited(size);
}

/** With a tag and a length before it. */
const delimited = (size: number): number => 1 + varintSize(size) + size;

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

class Writer {
  readonly #bytes: Buffer;
  readonly #sizes: number[];
  #at: number;
  #size = 0;

  constructor(bytes: Buffer, at: number, sizes: number[]) {
    this.#bytes = bytes;
    this.#at = at;
    this.#sizes = sizes;
  }

  tag(field: number, type: number): void {
    this.#bytes[this.#at++] = (field << 3) | type;
  }

  varint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
    this.#bytes[this.#at++] = rest;
  }

  struct(object: Record<string, unknown>): void {
    for (const [key, value] of Object.entries(object)) {
      this.#open(1);
      this.#text(1, key);
      this.#open(2);
      this.#value(value);
    }
  }

  #value(value: unknown): void {
    if (value === null || typeof value === "boolean") {
      this.tag(value === null ? 1 : 4, VARINT);
      this.varint(value === true ? 1 : 0);
    } else if (typeof value === "number") {
      this.tag(2, DOUBLE);
      this.#at = this.#bytes.writeDoubleLE(value, this.#at);
    } else if (typeof value === "string") {
      this.#text(3, value);
    } else if (Array.isArray(value)) {
      this.#open(6);
      for (const element of value) {
        this.#open(1);
        this.#value(element);
      }
    } else {
      this.#open(5);
      this.struct(value as Record<string, unknown>);
    }
  }

  #text(field: number, text: string): void {
    this.#open(field);
    this.#at += this.#bytes.write(text, this.#at);
  }

  #open(field: number): void {
    this.tag(field, LENGTH);
    this.varint(this.#sizes[this.#size++] as number);
  }
}
