/**
 * Property values as the engine holds them between the wire (protobuf Struct) and the checkpoint (JSON).
 * Plain JSON stays plain; what JSON has no word for is a class, told apart by `instanceof`.
 */
export type PropertyValue =
  | null
  | boolean
  | number
  | string
  | PropertyValue[]
  | PropertyMap
  | Secret
  | Unknown
  | Asset
  | Archive
  | ResourceReference;

export interface PropertyMap {
  [key: string]: PropertyValue;
}

/** A value that must never be shown, and is encrypted in the checkpoint. */
export class Secret {
  readonly element: PropertyValue;
  constructor(element: PropertyValue) {
    this.element = element;
  }
}

/** A value that only the real update will know. Never found outside a preview. */
// biome-ignore lint/complexity/noStaticOnlyClass: told apart by instanceof, and there is only one.
export class Unknown {
  static readonly value = new Unknown();
}

/** A file's content, by exactly one of `text`, `path` (relative to the program) or `uri`. */
export class Asset {
  readonly source: AssetSource;
  /** sha256 of the content, hex; "" until it was read. */
  readonly hash: string;
  constructor(source: AssetSource, hash = "") {
    this.source = source;
    this.hash = hash;
  }
}
export type AssetSource = { text: string } | { path: string } | { uri: string };

/** A tree of files, by exactly one of `assets`, `path` or `uri`. */
export class Archive {
  readonly source: ArchiveSource;
  readonly hash: string;
  constructor(source: ArchiveSource, hash = "") {
    this.source = source;
    this.hash = hash;
  }
}
export type ArchiveSource = { assets: Record<string, Asset | Archive> } | { path: string } | { uri: string };

/** A resource passed as a value. */
export class ResourceReference {
  readonly urn: string;
  /** undefined: a component; Unknown: not created yet. */
  readonly id: string | Unknown | undefined;
  readonly packageVersion: string;
  constructor(urn: string, id: string | Unknown | undefined, packageVersion = "") {
    this.urn = urn;
    this.id = id;
    this.packageVersion = packageVersion;
  }
}

export function isMap(value: PropertyValue | undefined): value is PropertyMap {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Secret) &&
    !(value instanceof Unknown) &&
    !(value instanceof Asset) &&
    !(value instanceof Archive) &&
    !(value instanceof ResourceReference)
  );
}
