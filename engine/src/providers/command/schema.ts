import type { CheckFailure } from "../../provider.ts";
import { Archive, Asset, isMap, type PropertyMap, type PropertyValue, Secret, Unknown } from "../../values.ts";

/** What one input accepts; `default` is filled in by Check, `secret` marks it there. */
interface Field {
  kind: "string" | "number" | "integer" | "boolean" | "strings" | "stringMap" | "list" | "source" | Table;
  required?: true;
  secret?: true;
  default?: PropertyValue;
}
/** The inputs of one resource type or of one object within it. */
export interface Table {
  readonly fields: { readonly [name: string]: Field };
}

const endpoint: Table["fields"] = {
  user: { kind: "string", default: "root" },
  password: { kind: "string", secret: true },
  host: { kind: "string", required: true },
  port: { kind: "number", default: 22 },
  privateKey: { kind: "string", secret: true },
  privateKeyPassword: { kind: "string", secret: true },
  agentSocketPath: { kind: "string" },
  dialErrorLimit: { kind: "integer", default: 10 },
  perDialTimeout: { kind: "integer", default: 15 },
  hostKey: { kind: "string" },
};
const connection: Field = {
  kind: { fields: { ...endpoint, proxy: { kind: { fields: endpoint } } } },
  required: true,
  secret: true,
};

const process: Table["fields"] = {
  stdin: { kind: "string" },
  logging: { kind: "string" },
  environment: { kind: "stringMap" },
  addPreviousOutputInEnv: { kind: "boolean" },
};
const lifecycle: Table["fields"] = {
  triggers: { kind: "list" },
  create: { kind: "string" },
  update: { kind: "string" },
  delete: { kind: "string" },
};
const local: Table["fields"] = {
  ...process,
  interpreter: { kind: "strings" },
  dir: { kind: "string" },
  assetPaths: { kind: "strings" },
  archivePaths: { kind: "strings" },
};

/** The resource types and functions of the package, by token. */
export const tables = {
  "command:local:Command": { fields: { ...lifecycle, ...local } },
  "command:local:run": { fields: { ...local, command: { kind: "string", required: true } } },
  "command:remote:Command": { fields: { ...lifecycle, ...process, connection } },
  "command:remote:CopyToRemote": {
    fields: {
      connection,
      triggers: { kind: "list" },
      source: { kind: "source", required: true },
      remotePath: { kind: "string", required: true },
    },
  },
} satisfies Record<string, Table>;
export type Token = keyof typeof tables;

export function isToken(type: string): type is Token {
  return Object.hasOwn(tables, type);
}

/** Takes a resource's inputs; gives them with defaults filled in and secrets marked, and what is wrong with them. */
export function checkInputs(token: Token, news: PropertyMap): { inputs: PropertyMap; failures: CheckFailure[] } {
  const failures: CheckFailure[] = [];
  const inputs = checkObject(tables[token], news, "", failures);
  return { inputs, failures };
}

function checkObject(table: Table, value: PropertyMap, path: string, failures: CheckFailure[]): PropertyMap {
  const result: PropertyMap = {};
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(table.fields, name)) {
      failures.push({
        property: path + name,
        reason: `unknown property; accepted are ${Object.keys(table.fields).sort().join(", ")}`,
      });
    }
  }
  for (const [name, field] of Object.entries(table.fields)) {
    const given = value[name];
    if (given === undefined || given === null) {
      if (field.default !== undefined) result[name] = field.default;
      else if (field.required) failures.push({ property: path + name, reason: "missing, but required" });
      continue;
    }
    const checked = checkValue(field.kind, given, path + name, failures);
    result[name] = field.secret && !(checked instanceof Secret) ? new Secret(checked) : checked;
  }
  return result;
}

function checkValue(kind: Field["kind"], value: PropertyValue, path: string, failures: CheckFailure[]): PropertyValue {
  if (value instanceof Secret) return new Secret(checkValue(kind, value.element, path, failures));
  if (value instanceof Unknown) return value;
  if (typeof kind === "object") {
    if (isMap(value)) return checkObject(kind, value, `${path}.`, failures);
    return wrong(path, "an object", value, failures);
  }
  switch (kind) {
    case "string":
    case "boolean":
    case "number":
      return typeof value === kind ? value : wrong(path, `a ${kind}`, value, failures);
    case "integer":
      return typeof value === "number" ? Math.trunc(value) : wrong(path, "a number", value, failures);
    case "list":
      return Array.isArray(value) ? value : wrong(path, "a list", value, failures);
    case "strings":
      if (!Array.isArray(value)) return wrong(path, "a list of strings", value, failures);
      return value.map((item, index) => checkValue("string", item, `${path}[${index}]`, failures));
    case "stringMap":
      if (!isMap(value)) return wrong(path, "an object of strings", value, failures);
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, checkValue("string", item, `${path}.${key}`, failures)]),
      );
    case "source":
      return checkSource(value, path, failures);
  }
}

/** Also an asset or archive of a URL and an archive of assets, which the official provider refuses. */
function checkSource(value: PropertyValue, path: string, failures: CheckFailure[]): PropertyValue {
  if (value instanceof Asset || value instanceof Archive) return value;
  return wrong(path, "an asset or an archive", value, failures);
}

// The value itself stays out of the reason: it may be a password in the wrong place.
function wrong(path: string, expected: string, value: PropertyValue, failures: CheckFailure[]): PropertyValue {
  failures.push({ property: path, reason: `expected ${expected}, got ${describe(value)}` });
  return value;
}

function describe(value: PropertyValue): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
