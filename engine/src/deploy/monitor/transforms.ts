import aliasPb from "@pulumi/pulumi/proto/alias_pb.js";
import callbackGrpc from "@pulumi/pulumi/proto/callback_grpc_pb.js";
import callbackPb from "@pulumi/pulumi/proto/callback_pb.js";
import type { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import { SIGNATURE_KEY, SIGNATURES, UNKNOWNS } from "../../signatures.ts";
import { Refusal } from "../plan/goal.ts";
import { CLIENT_OPTIONS, grpc, resourcePb, structPb } from "./rpc.ts";

type Callback = InstanceType<typeof callbackPb.Callback>;
type Client = InstanceType<typeof callbackGrpc.CallbacksClient>;
type Registration = InstanceType<typeof resourcePb.RegisterResourceRequest>;
type InvokeRequest = InstanceType<typeof resourcePb.ResourceInvokeRequest>;
type Options = InstanceType<typeof resourcePb.TransformResourceOptions>;
type Json = Record<string, unknown>;

/**
 * Functions of the program that change what it registers or asks for, called in its process before anything else is made of a
 * request: a resource's own, those of its parents, those of the stack.
 */
export class Transforms {
  readonly #stack: Callback[] = [];
  readonly #ofInvokes: Callback[] = [];
  readonly #own = new Map<string, { callbacks: Callback[]; parent: string }>();
  readonly #clients = new Map<string, Client>();

  addToStack(callback: Callback): void {
    this.#stack.push(callback);
  }

  addToInvokes(callback: Callback): void {
    this.#ofInvokes.push(callback);
  }

  /** Notes a resource that its children will name. */
  registered(urn: string, request: Registration): void {
    this.#own.set(urn, { callbacks: request.getTransformsList(), parent: request.getParent() });
  }

  /** Makes the request what its transforms make of it. @throws Refusal when one of them fails */
  async apply(request: Registration): Promise<void> {
    const own = request.getTransformsList();
    const callbacks = [...own, ...this.#inherited(request.getParent()), ...this.#stack];
    if (callbacks.length === 0) return;
    let properties = marked(request, own.length > 0);
    let options = optionsOf(request);
    for (const callback of callbacks) {
      const asked = new resourcePb.TransformRequest()
        .setType(request.getType())
        .setName(request.getName())
        .setCustom(request.getCustom())
        .setParent(request.getParent())
        .setProperties(properties)
        .setOptions(options);
      const label = `${request.getType()} "${request.getName()}"`;
      const answer = resourcePb.TransformResponse.deserializeBinary(
        await this.#call(callback, asked.serializeBinary(), label),
      );
      properties = answer.getProperties() ?? properties;
      options = answer.getOptions() ?? options;
    }
    request.setObject(properties);
    setOptions(request, options);
    // From where a property was taken, an SDK that sends plain values does not tell; the resource still depends on all it did.
    // The official engine takes that for nothing, and so must this one: else each would write the other's state anew.
    const map = request.getPropertydependenciesMap();
    if (own.length > 0) map.clear();
    for (const [key] of properties.getFieldsMap().entries()) {
      if (!map.has(key)) map.set(key, new resourcePb.RegisterResourceRequest.PropertyDependencies());
    }
  }

  /** Makes the call of a function what the stack's transforms make of it. @throws Refusal when one of them fails */
  async applyToInvoke(request: InvokeRequest): Promise<void> {
    for (const callback of this.#ofInvokes) {
      const options = new resourcePb.TransformInvokeOptions()
        .setProvider(request.getProvider())
        .setVersion(request.getVersion())
        .setPluginDownloadUrl(request.getPlugindownloadurl());
      const asked = new resourcePb.TransformInvokeRequest()
        .setToken(request.getTok())
        .setArgs(request.getArgs())
        .setOptions(options);
      const answer = resourcePb.TransformInvokeResponse.deserializeBinary(
        await this.#call(callback, asked.serializeBinary(), request.getTok()),
      );
      const changed = answer.getOptions() ?? options;
      if (answer.getArgs() !== undefined) request.setArgs(answer.getArgs());
      request
        .setProvider(changed.getProvider())
        .setVersion(changed.getVersion())
        .setPlugindownloadurl(changed.getPluginDownloadUrl());
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #inherited(parent: string): Callback[] {
    const found: Callback[] = [];
    for (let at = this.#own.get(parent); at !== undefined; at = this.#own.get(at.parent)) found.push(...at.callbacks);
    return found;
  }

  #call(callback: Callback, bytes: Uint8Array, label: string): Promise<Uint8Array> {
    const target = callback.getTarget();
    let client = this.#clients.get(target);
    if (client === undefined) {
      client = new callbackGrpc.CallbacksClient(target, grpc.credentials.createInsecure(), CLIENT_OPTIONS);
      this.#clients.set(target, client);
    }
    const asked = new callbackPb.CallbackInvokeRequest().setToken(callback.getToken()).setRequest(bytes);
    return new Promise((resolve, reject) => {
      client.invoke(asked, (error, response) => {
        if (error === null) resolve(response.getResponse_asU8());
        else reject(new Refusal(`A transform of ${label} failed: ${error.details || error.message}`));
      });
    });
  }
}

/**
 * The properties as a transform gets them: what is secret or unknown, and what was taken from other resources, as an output, which
 * the program's code can't take for a plain value.
 */
function marked(request: Registration, withDependencies: boolean): Struct {
  const object = (request.getObject()?.toJavaScript() ?? {}) as Json;
  const of = request.getPropertydependenciesMap();
  const properties = Object.entries(object).map(([key, value]) => {
    const dependencies = withDependencies ? (of.get(key)?.getUrnsList() ?? []) : [];
    const output = asOutput(value);
    if (dependencies.length === 0) return [key, output];
    return [
      key,
      { ...(isOutput(output) ? output : { [SIGNATURE_KEY]: SIGNATURES.output, value: output }), dependencies },
    ];
  });
  return structPb.Struct.fromJavaScript(Object.fromEntries(properties));
}

function asOutput(value: unknown): unknown {
  if (typeof value === "string") return UNKNOWNS.has(value) ? { [SIGNATURE_KEY]: SIGNATURES.output } : value;
  if (Array.isArray(value)) return value.map(asOutput);
  if (typeof value !== "object" || value === null) return value;
  if ((value as Json)[SIGNATURE_KEY] === SIGNATURES.secret) {
    const inner = asOutput((value as Json).value);
    return isOutput(inner)
      ? { ...inner, secret: true }
      : { [SIGNATURE_KEY]: SIGNATURES.output, value: inner, secret: true };
  }
  if (Object.hasOwn(value, SIGNATURE_KEY)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, asOutput(element)]));
}

function isOutput(value: unknown): value is Json {
  return typeof value === "object" && value !== null && (value as Json)[SIGNATURE_KEY] === SIGNATURES.output;
}

function optionsOf(request: Registration): Options {
  const aliases = [
    ...request.getAliasurnsList().map((urn: string) => new aliasPb.Alias().setUrn(urn)),
    ...request.getAliasesList(),
  ];
  const options = new resourcePb.TransformResourceOptions()
    .setImport(request.getImportid())
    .setDependsOnList(request.getDependenciesList())
    .setIgnoreChangesList(request.getIgnorechangesList())
    .setReplaceOnChangesList(request.getReplaceonchangesList())
    .setVersion(request.getVersion())
    .setAliasesList(aliases)
    .setProvider(request.getProvider())
    .setHideDiffList(request.getHidediffsList())
    .setCustomTimeouts(request.getCustomtimeouts())
    .setPluginDownloadUrl(request.getPlugindownloadurl())
    .setDeletedWith(request.getDeletedwith())
    .setReplaceWithList(request.getReplaceWithList())
    .setAdditionalSecretOutputsList(request.getAdditionalsecretoutputsList())
    .setHooks(request.getHooks())
    .setReplacementTrigger(request.getReplacementTrigger());
  if (request.hasProtect()) options.setProtect(request.getProtect() ?? false);
  if (request.hasRetainondelete()) options.setRetainOnDelete(request.getRetainondelete() ?? false);
  if (request.getDeletebeforereplacedefined() || request.getDeletebeforereplace()) {
    options.setDeleteBeforeReplace(request.getDeletebeforereplace());
  }
  for (const [name, provider] of request.getProvidersMap().entries()) options.getProvidersMap().set(name, provider);
  return options;
}

function setOptions(request: Registration, options: Options): void {
  request
    .setImportid(options.getImport())
    .setDependenciesList(options.getDependsOnList())
    .setIgnorechangesList(options.getIgnoreChangesList())
    .setReplaceonchangesList(options.getReplaceOnChangesList())
    .setVersion(options.getVersion())
    .setAliasurnsList([])
    .setAliasesList(options.getAliasesList())
    .setProvider(options.getProvider())
    .setHidediffsList(options.getHideDiffList())
    .setCustomtimeouts(options.getCustomTimeouts())
    .setPlugindownloadurl(options.getPluginDownloadUrl())
    .setDeletedwith(options.getDeletedWith())
    .setReplaceWithList(options.getReplaceWithList())
    .setAdditionalsecretoutputsList(options.getAdditionalSecretOutputsList())
    .setHooks(options.getHooks())
    .setReplacementTrigger(options.getReplacementTrigger())
    .setDeletebeforereplacedefined(options.hasDeleteBeforeReplace())
    .setDeletebeforereplace(options.getDeleteBeforeReplace() ?? false);
  if (options.hasProtect()) request.setProtect(options.getProtect() ?? false);
  else request.clearProtect();
  if (options.hasRetainOnDelete()) request.setRetainondelete(options.getRetainOnDelete() ?? false);
  else request.clearRetainondelete();
  request.getProvidersMap().clear();
  for (const [name, provider] of options.getProvidersMap().entries()) request.getProvidersMap().set(name, provider);
}
