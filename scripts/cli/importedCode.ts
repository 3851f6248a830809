import type { ResourceState } from "@atelier/engine";

const SECRET = "[secret]";

/**
 * How a program describes a resource that was imported: a line of code, and its inputs. A secret stays out of it.
 * @param state of a custom resource; `package:module:Name` and `package:module/name:Name` become `package.Name`
 */
export function declaration({ type, urn, inputs, protect }: ResourceState): string {
  const [pkg = "", module = "", name = ""] = type.split(":");
  const path = module === "index" || module.includes("/") ? [pkg, name] : [pkg, module, name];
  const args = JSON.stringify(inputs, plain, 2);
  const resource = JSON.stringify(urn.slice(urn.lastIndexOf("::") + 2));
  return `new ${path.join(".")}(${resource}, ${args}${protect ? ", { protect: true }" : ""});`;
}

/** What the engine keeps for itself among the inputs begins with two underscores. */
function plain(key: string, value: unknown): unknown {
  if (key.startsWith("__")) return undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  // A secret, an asset or a reference is an object of a class of its own; only the first holds an element.
  return "element" in value && Object.getPrototypeOf(value) !== Object.prototype ? SECRET : value;
}
