import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type * as pulumi from "@pulumi/pulumi";
import ts from "typescript";
import { beforeAll, describe, expect, test } from "vitest";
import { textOf } from "../../stacks/dynamic.ts";

const LIB = "lib.d.ts";
/** What a module of Node's may name beside the language itself. */
const GLOBALS = ["exports", "process", "console", "Buffer", "URL", "setTimeout", "clearTimeout"];

/** The names in modules' texts that nothing in them declares. */
function unknownNames(...modules: string[]): string[] {
  const options: ts.CompilerOptions = {
    allowJs: true,
    checkJs: true,
    noEmit: true,
    noResolve: true,
    lib: ["lib.es2023.d.ts"],
    types: [],
    module: ts.ModuleKind.ESNext,
    moduleDetection: ts.ModuleDetectionKind.Force,
    target: ts.ScriptTarget.ES2023,
  };
  const host = ts.createCompilerHost(options);
  const names = modules.map((_, i) => `provider${i}.js`);
  const files = new Map(names.map((name, i) => [name, modules[i] as string]));
  files.set(LIB, GLOBALS.map((name) => `declare var ${name}: any;`).join("\n"));
  const { getSourceFile } = host;
  host.getSourceFile = (name, version) => {
    const text = files.get(name);
    return text === undefined ? getSourceFile(name, version) : ts.createSourceFile(name, text, version);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  const cannotFindName = [2304, 2552, 2580, 2584];
  return names
    .flatMap((name) => program.getSemanticDiagnostics(program.getSourceFile(name)))
    .filter(({ code }) => cannotFindName.includes(code))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

/** As the providers of both engines load it. */
function loaded(text: string): pulumi.dynamic.ResourceProvider {
  const exports: { handler?: () => pulumi.dynamic.ResourceProvider } = {};
  new Function("exports", text)(exports);
  if (!exports.handler) throw new Error("it exports no handler");
  return exports.handler();
}

let texts: Record<string, string>;
beforeAll(async () => {
  const script = fileURLToPath(new URL("./texts.ts", import.meta.url));
  texts = JSON.parse((await promisify(execFile)(process.execPath, [script])).stdout);
});

describe("a provider in the state", () => {
  test("is all of what it uses", () => {
    expect(Object.keys(texts).sort()).toEqual(["dify", "docker", "engine", "host", "key", "password"]);
    expect(unknownNames(...Object.values(texts))).toEqual([]);
    for (const text of Object.values(texts)) expect(typeof loaded(text).create).toBe("function");
  });

  test("that leaves out a function which it uses is found out", () => {
    const outside = () => ({ id: "outside", outs: {} });
    const provider: pulumi.dynamic.ResourceProvider = {
      async create() {
        return outside();
      },
    };
    expect(unknownNames(textOf(provider, []))).toEqual(["Cannot find name 'outside'."]);
  });

  test("does what it did before it was text", async () => {
    const { create, update } = loaded(texts.password as string);
    const made = await create({ length: 40 });
    expect(made.outs.value).toMatch(/^[A-Za-z0-9_-]{40}$/);
    expect(await update?.("password", made.outs, { length: 3 })).toEqual({ outs: made.outs });
  });
});
