import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import type { ServiceDefinition } from "@grpc/grpc-js";
import {
  emptyPb,
  engineGrpc,
  grpc,
  providerGrpc,
  providerPb,
  structPb,
} from "../../../engine/src/deploy/monitor/rpc.ts";
import type { CheckResult, DiffResult } from "../../../engine/src/provider.ts";
import type { PropertyMap } from "../../../engine/src/values.ts";
import { fromWire, toWire } from "../../../engine/src/wire.ts";

const PLUGIN = (process.env.PATH ?? "")
  .split(delimiter)
  .map((folder) => join(folder, "pulumi-resource-command"))
  .find(existsSync);

/** Why the official plugin can't be asked here; undefined: it can. */
export const noPlugin: string | undefined =
  PLUGIN === undefined ? "no pulumi-resource-command on PATH, the plugin of the command package" : undefined;

/** The official plugin's answers, for comparison with ours. */
export interface Official {
  check(type: string, news: PropertyMap): Promise<CheckResult>;
  diff(
    type: string,
    olds: PropertyMap,
    oldOutputs: PropertyMap,
    news: PropertyMap,
  ): Promise<Omit<DiffResult, "changedKeys">>;
  create(type: string, inputs: PropertyMap, preview?: boolean): Promise<{ id: string; outputs: PropertyMap }>;
  update(type: string, olds: PropertyMap, news: PropertyMap): Promise<{ outputs: PropertyMap }>;
  stop(): Promise<void>;
}

export async function startOfficial(programDir: string): Promise<Official> {
  const engine = new grpc.Server();
  const fine = (_call: unknown, done: (error: null, answer: InstanceType<typeof emptyPb.Empty>) => void) =>
    done(null, new emptyPb.Empty());
  engine.addService(engineGrpc.EngineService as unknown as ServiceDefinition, { log: fine });
  const port = await new Promise<number>((resolve, reject) =>
    engine.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const plugin = spawn(PLUGIN ?? "", [`127.0.0.1:${port}`], { cwd: programDir, stdio: ["ignore", "pipe", "ignore"] });
  const client = new providerGrpc.ResourceProviderClient(
    `127.0.0.1:${await firstLine(plugin)}`,
    grpc.credentials.createInsecure(),
  );
  const ask = <T>(method: string, message: unknown): Promise<T> =>
    new Promise((resolve, reject) => {
      const methods = client as unknown as Record<string, (m: unknown, done: (e: Error | null, r: T) => void) => void>;
      methods[method]?.call(client, message, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  const urnOf = (type: string) => `urn:pulumi:s::p::${type}::step`;
  await ask("configure", new providerPb.ConfigureRequest().setAcceptsecrets(true).setSendsOldInputs(true));

  return {
    async check(type, news) {
      const message = new providerPb.CheckRequest().setUrn(urnOf(type)).setNews(struct(news));
      const answer = await ask<InstanceType<typeof providerPb.CheckResponse>>("check", message);
      const failures = answer
        .getFailuresList()
        .map((failure) => ({ property: failure.getProperty(), reason: failure.getReason() }));
      return { inputs: properties(answer.getInputs()), failures };
    },
    async diff(type, olds, oldOutputs, news) {
      const message = new providerPb.DiffRequest()
        .setUrn(urnOf(type))
        .setId("step01234567")
        .setOlds(struct(oldOutputs))
        .setOldInputs(struct(olds))
        .setNews(struct(news));
      const answer = await ask<InstanceType<typeof providerPb.DiffResponse>>("diff", message);
      return {
        changes: answer.getChanges() === 1 ? "none" : "some",
        replaceKeys: answer.getReplacesList().sort(),
        deleteBeforeReplace: answer.getDeletebeforereplace(),
      };
    },
    async create(type, inputs, preview = false) {
      const message = new providerPb.CreateRequest()
        .setUrn(urnOf(type))
        .setProperties(struct(inputs))
        .setPreview(preview);
      const answer = await ask<InstanceType<typeof providerPb.CreateResponse>>("create", message);
      return { id: answer.getId(), outputs: properties(answer.getProperties()) };
    },
    async update(type, olds, news) {
      const message = new providerPb.UpdateRequest()
        .setUrn(urnOf(type))
        .setId("step01234567")
        .setOlds(struct(olds))
        .setNews(struct(news));
      const answer = await ask<InstanceType<typeof providerPb.UpdateResponse>>("update", message);
      return { outputs: properties(answer.getProperties()) };
    },
    async stop() {
      client.close();
      plugin.kill();
      engine.forceShutdown();
    },
  };
}

const struct = (map: PropertyMap) =>
  structPb.Struct.fromJavaScript(
    toWire(map, { keepSecrets: true, keepInnerSecrets: true, keepUnknowns: true, keepResources: true }) as Parameters<
      typeof structPb.Struct.fromJavaScript
    >[0],
  );
const properties = (given: InstanceType<typeof structPb.Struct> | undefined) => fromWire(given?.toJavaScript());

function firstLine(plugin: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    plugin.once("error", reject);
    plugin.once("exit", (code) => reject(new Error(`the plugin ended with ${code} before it said its port`)));
    createInterface({ input: plugin.stdout as NodeJS.ReadableStream }).once("line", resolve);
  });
}
