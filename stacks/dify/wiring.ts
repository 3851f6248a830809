import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { isAbsolute, join, relative, resolve } from "node:path";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { DifySettings } from "../schema/dify.ts";
import { type AppRole, appDsl, appModes, type Drawing } from "./apps.ts";
import { credentialName } from "./credential.ts";
import { DifyFacts, type FactItem } from "./facts.ts";
import { modelItem, providerOf, thinkingOf, thinkingTokens, tokensOf } from "./model.ts";
import type { DifyPlace } from "./place.ts";

/** A plugin as images/dify.ts pins it. */
export interface PinnedPlugin {
  /** `langgenius/stablediffusion` */
  id: string;
  version: string;
  /** `<id>:<version>@<checksum>`, which what comes is held to. */
  identifier?: string | undefined;
  /** The same, computed only: the marketplace is asked first. */
  computed?: string | undefined;
  /** Where that is. */
  marketplace?: string | undefined;
  /** A .difypkg on this machine. @default from the marketplace */
  package?: string | undefined;
}

export interface WireArgs {
  place: DifyPlace;
  /** Nothing may be fetched. */
  offline?: boolean;
  settings: DifySettings;
  /** Of the language model's provider; a secret. */
  modelKey?: pulumi.Input<string> | undefined;
  /** The WebUI's login. It draws once `ready` is there; its credential waits for that, and all else is made while it is installed. */
  webui: { user: string; password: pulumi.Input<string>; ready: pulumi.Resource };
  /** The checkpoint's `model_name`, which the tool's credential is checked with. */
  checkpoint: string;
  drawing: Drawing;
  /** The SD tool's, and that of the model's provider. */
  plugins: { tool: PinnedPlugin; model: PinnedPlugin };
  /** Where a machine keeps what it made for itself; packages in there are named without it. */
  home: string;
  /** Tells this stack's state from that of another copy. */
  state: pulumi.Input<string>;
}

/** An app that can be talked to. */
export interface WiredApp {
  appId: pulumi.Output<string>;
  /** A secret. */
  apiKey: pulumi.Output<string>;
  /** Its page for people. */
  siteUrl: pulumi.Output<string>;
}

export interface Wired {
  apps: Record<AppRole, WiredApp>;
  /** Dify's own version. */
  version: pulumi.Output<string>;
  /** Changes whenever an item is applied again. */
  stamp: pulumi.Output<string>;
  /** The last of it: depend on these. */
  resources: pulumi.Resource[];
}

const toolProvider = "langgenius/stablediffusion/stablediffusion";

/** Everything that is made inside of Dify, item by item: first set-up, plugins, the tool's credential, the model, the two apps. */
export function wireDify(args: WireArgs, opts: pulumi.CustomResourceOptions): Wired {
  const { place, settings, plugins, webui, checkpoint, offline = false } = args;
  const { own, email } = place;
  const stack = pulumi.getStack();
  // What is in a Dify of its own is the state's whose containers they are.
  const state = own ? undefined : pulumi.output(args.state).apply((whole) => whole.slice(0, 8));
  const credential: pulumi.Input<string> = state?.apply((id) => credentialName(stack, id)) ?? credentialName(stack);
  // Only what nobody may see is secret in them: the engine takes every word of a secret out of what it shows.
  const dify = {
    url: place.url,
    email,
    password: pulumi.secret(place.password),
    ...(place.initPassword === undefined ? {} : { initPassword: pulumi.secret(place.initPassword) }),
    timeout: settings.timeout,
  };
  const { model } = settings;
  const modelKey = args.modelKey === undefined ? undefined : pulumi.secret(args.modelKey);
  const items: Record<ItemResource, FactItem> = {
    "dify-setup": { item: "setup" },
    "dify-plugin-tool": { item: "plugin", plugin: pluginInput(plugins.tool, args.home) },
    "dify-plugin-model": { item: "plugin", plugin: pluginInput(plugins.model, args.home) },
    "dify-tool": {
      item: "tool",
      name: credential,
      plugin: plugins.tool.id,
      provider: toolProvider,
      webui: { url: place.webuiUrl, user: webui.user, password: pulumi.secret(webui.password) },
      model: checkpoint,
    },
    "dify-model": {
      item: "model",
      name: credential,
      plugin: plugins.model.id,
      ...(own ? {} : { early: credentialName(stack) }),
      ...modelItem(model, modelKey),
    },
    "dify-agent": appInput("agent", args, { stack, state, credential }),
    "dify-chatflow": appInput("chatflow", args, { stack, state, credential }),
  };

  const facts = new DifyFacts(
    "dify-facts",
    { dify, own, items, offline },
    {
      ...opts,
      dependsOn: place.ready,
    },
  );

  const makeWithin = (
    within: pulumi.Output<{ workspace?: string | undefined }>,
    name: ItemResource,
    after: command.local.Command[],
    also: pulumi.Resource[] = [],
  ) => {
    const stdin = pulumi
      .all([
        pulumi.output(items[name]),
        pulumi.output(dify),
        facts.tokens,
        pulumi.all(after.map(({ stdout }) => stdout)),
        within,
      ])
      .apply(([{ item: _, ...input }, login, tokens, said, there]) =>
        // What it leans on tells by its facts when it became another one.
        JSON.stringify({ ...input, ...there, dify: login, own, token: tokens[name] ?? "", after: fingerprint(said) }),
      );
    const kind = itemOf(name);
    const run = (what: string) => `node ../scripts/dify/main.ts ${kind} ${what}`;
    return new command.local.Command(
      name,
      {
        create: run("apply"),
        update: run("apply"),
        delete: run("remove"),
        stdin: pulumi.secret(stdin),
        // Whether it was there before us, and of an app which one it is.
        addPreviousOutputInEnv: true,
        logging: command.local.Logging.Stderr,
      },
      // `up --replace`: an item is found again by what it is, and its removal, run last, would take the one just applied.
      {
        ...opts,
        dependsOn: [...place.ready, facts, ...after, ...also],
        deleteBeforeReplace: true,
        additionalSecretOutputs: ["stdin"],
      },
    );
  };
  const anywhere = pulumi.output({});
  const setup = makeWithin(anywhere, "dify-setup", []);
  // Of somebody's Dify, whose admin may work in another workspace by then.
  const within = own
    ? anywhere
    : setup.stdout.apply((text) => ({ workspace: (JSON.parse(text) as Record<string, string>).workspaceId }));
  const make = (name: ItemResource, after: command.local.Command[], also: pulumi.Resource[] = []) =>
    makeWithin(within, name, after, also);
  // Apart from its app, whose facts are told to its next run by the environment: a key belongs into none.
  const makeKey = (role: AppRole, app: command.local.Command, last?: command.local.Command): command.local.Command => {
    const run = "node ../scripts/dify/main.ts key apply";
    const stdin = pulumi.all([app.stdout, within, pulumi.output(dify)]).apply(([text, there, login]) => {
      const { appId, keyId } = JSON.parse(text) as Record<string, string>;
      return JSON.stringify({ appId, keyId, ...there, dify: login, own });
    });
    return new command.local.Command(
      `dify-${role}-key`,
      {
        create: run,
        update: run,
        ...(last && { delete: "node ../scripts/dify/main.ts key remove" }),
        stdin: pulumi.secret(stdin),
        addPreviousOutputInEnv: false,
        logging: command.local.Logging.Stderr,
      },
      { ...opts, dependsOn: last ? [app, last] : [app], additionalSecretOutputs: ["stdin", "stdout"] },
    );
  };

  const tools = make("dify-plugin-tool", [setup]);
  // One after the other: the daemon builds an environment for each, and two at once are slower.
  const models = make("dify-plugin-model", [setup, tools]);
  const tool = make("dify-tool", [tools], [webui.ready, ...place.reached]);
  const llm = make("dify-model", [models]);
  const needs = [tools, models, tool, llm];
  const apps: Record<AppRole, command.local.Command> = {
    agent: make("dify-agent", needs),
    chatflow: make("dify-chatflow", needs),
  };
  const said = (one: command.local.Command) => one.stdout.apply((text) => JSON.parse(text) as Record<string, string>);
  // Both apps go after the agent's key, whose removal is nothing but a login: a `down` whose password is wrong by now tries it once, and
  // not for each app at the same time; six lock an account for a day. An app that refuses keeps the other from nothing.
  const keys = {
    agent: makeKey("agent", apps.agent, apps.chatflow),
    chatflow: makeKey("chatflow", apps.chatflow),
  };
  const wired = (role: AppRole): WiredApp => ({
    appId: said(apps[role]).apply(({ appId }) => appId ?? ""),
    apiKey: pulumi.secret(said(keys[role]).apply(({ apiKey }) => apiKey ?? "")),
    siteUrl: said(apps[role]).apply(({ siteUrl }) => siteUrl ?? ""),
  });
  const all = [setup, tools, models, tool, llm, ...Object.values(apps)];
  return {
    apps: { agent: wired("agent"), chatflow: wired("chatflow") },
    version: said(setup).apply(({ version }) => version ?? ""),
    stamp: pulumi.unsecret(pulumi.all(all.map(({ stdin }) => stdin)).apply((texts) => fingerprint(texts.map(String)))),
    resources: Object.values(keys),
  };
}

type ItemResource =
  | "dify-setup"
  | "dify-plugin-tool"
  | "dify-plugin-model"
  | "dify-tool"
  | "dify-model"
  | `dify-${AppRole}`;

function itemOf(name: ItemResource): string {
  if (name.startsWith("dify-plugin-")) return "plugin";
  return name === "dify-agent" || name === "dify-chatflow" ? "app" : name.slice("dify-".length);
}

const sha256 = (text: string | Buffer) => createHash("sha256").update(text).digest("hex");

/** Of facts, nothing of which may be read: they may hold keys. */
const fingerprint = (texts: string[]): string => sha256(texts.join("\0")).slice(0, 12);

function appInput(
  role: AppRole,
  args: WireArgs,
  {
    stack,
    state,
    credential,
  }: { stack: string; state: pulumi.Output<string> | undefined; credential: pulumi.Input<string> },
): FactItem {
  const { settings, drawing, plugins } = args;
  const { model, apps } = settings;
  const { thinks, parameters } = thinkingOf(model);
  return {
    item: "app",
    owner: `${stack}/${role}`,
    ...(state && { state }),
    name: apps[role],
    mode: appModes[role],
    dsl: appDsl(role, apps[role], drawing, {
      provider: providerOf(model.provider),
      name: model.name,
      maxTokens: tokensOf(model),
      thinking: parameters,
    }),
    plugins: [plugins.tool, plugins.model].map(({ id, version }) => ({ id, version })),
    tool: { provider: toolProvider, credential },
    minTokens: thinks ? thinkingTokens : 0,
  };
}

/** A package goes by its bytes, and by no path of this machine where it can be helped. */
function pluginInput(plugin: PinnedPlugin, home: string): object {
  const { id, version, identifier, computed, marketplace, package: path } = plugin;
  const pinned = { id, version, ...(identifier ? { identifier } : {}) };
  if (path === undefined)
    return { ...pinned, ...(computed ? { computed } : {}), ...(identifier || !marketplace ? {} : { marketplace }) };
  const project = resolve(import.meta.dirname, "../..");
  const place = isAbsolute(path) ? path : [home, project].map((at) => join(at, path)).find((at) => existsSync(at));
  if (!place || !existsSync(place))
    throw new pulumi.RunError(`The package of ${id} is not there: ${path} (atelier:dify.plugins).`);
  const inside = [home, project].map((at) => relative(at, place)).find((at) => !at.startsWith("..") && !isAbsolute(at));
  return { ...pinned, package: { path: inside ?? place, sha256: sha256(readFileSync(place)) } };
}
