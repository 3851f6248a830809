import type { Duplex } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import type { Server as GrpcServer, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { hashAssets } from "../../assets.ts";
import { versionFault } from "../../pulumiVersion.ts";
import type { ResourceState } from "../../resource.ts";
import { STACK_TYPE } from "../../urn.ts";
import type { PropertyMap } from "../../values.ts";
import { toWire } from "../../wire.ts";
import { type Goal, notCovered, Refusal } from "../plan/goal.ts";
import { isProviderType, packageOf, UNKNOWN_ID } from "../plan/references.ts";
import { InvokeFailed } from "./invokeFailed.ts";
import { type ReadGoal, readGoal, registrationGoal, type Sources } from "./requests.ts";
import { CHANNEL_OPTIONS, emptyPb, engineGrpc, enginePb, grpc, providerPb, resourceGrpc, resourcePb } from "./rpc.ts";
import { Stopped } from "./stopped.ts";
import { appendStruct } from "./structBytes.ts";
import { fromStruct, toStruct } from "./structs.ts";
import { Transforms } from "./transforms.ts";

/** What the program is told once the deployment is over. */
const SHUT_DOWN = "resource monitor shut down";
/**
 * The SDK's word of that, with a stack: of the call that heard it, and of those after which it has closed its line itself; also
 * where nothing in the program caught it.
 */
const ENDS = new RegExp(
  `^(Running program '[^\\n]*' failed with an unhandled exception:\\n)?(<ref \\*\\d+> )?Error: (failed to check existence of resource [^\\n]*)?14 UNAVAILABLE: (${SHUT_DOWN}|Channel closed before call started)\\n`,
);

/** What makes a resource's URN. */
export type Named = Pick<Goal, "type" | "name" | "parent">;

/** The deployment, as the program sees it. Every method rejects with Stopped once the deployment is over. */
export interface MonitorHost {
  readonly preview: boolean;
  /** True: a resource may be left out of the run, and what the program takes from it stay unknown. */
  readonly partial: boolean;
  readonly sources: Sources;
  /** Answers when the resource is there and saved. */
  register(goal: Goal): Promise<ResourceState>;
  /** True when the resource was left out and will not exist: what the program takes from it stays unknown. */
  isSkipped(urn: string): boolean;
  /** The reference of a package's default provider, for a resource, or for a function by its token. */
  defaultProvider(pkg: string, version: string, url: string, user: Named | string): Promise<string>;
  registerOutputs(urn: string, outputs: PropertyMap): Promise<void>;
  read(goal: ReadGoal): Promise<ResourceState>;
  /** Rejects with InvokeFailed when the function itself did not succeed. */
  invoke(
    token: string,
    args: PropertyMap,
    provider: string,
    version: string,
  ): Promise<{ result: PropertyMap; failures: { property: string; reason: string }[] }>;
  /** The program has registered all it will; answers when the deployment needs it no more. */
  programDone(): Promise<void>;
  log(line: {
    severity: "debug" | "info" | "warning" | "error";
    message: string;
    urn: string;
    ephemeral: boolean;
    streamId: number;
  }): void;
  /** A request that can't be served: the deployment fails with it. */
  refuse(error: unknown, urn?: string): void;
}

const { ResourceMonitorFeature } = resourcePb;
/** By the names under which older SDKs ask for them, one by one. */
const FEATURES = new Map<string, number>([
  ["secrets", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_SECRETS],
  ["resourceReferences", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES],
  ["aliasSpecs", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS],
  ["deletedWith", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_DELETED_WITH],
  ["transforms", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_TRANSFORMS],
  ["invokeTransforms", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_INVOKE_TRANSFORMS],
  // Refused when they are asked for, with the way out: the SDK itself would have its user update a CLI that there is not.
  ["replaceWith", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_REPLACE_WITH],
  ["parameterization", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_PARAMETERIZATION],
  ["resourceHooks", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS],
  ["errorHooks", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS],
  ["stateMigrations", ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_STATE_MIGRATIONS],
]);
const SEVERITIES = ["debug", "info", "warning", "error"] as const;

/** Serves the resource monitor and the engine service to the program, on the connections that it is given. */
export class Monitor {
  readonly #host: Promise<MonitorHost>;
  readonly #server: GrpcServer;
  readonly #connections: ReturnType<GrpcServer["createConnectionInjector"]>;
  readonly #goals = new Map<string, Goal>();
  readonly #transforms = new Transforms();
  #rootUrn = "";

  /** @param host may still be on its way: the program, which takes longer to start, waits for it with its first call */
  constructor(host: MonitorHost | Promise<MonitorHost>) {
    this.#host = Promise.resolve(host);
    this.#host.catch(() => {});
    this.#server = new grpc.Server(CHANNEL_OPTIONS);
    this.#server.addService(MONITOR_SERVICE, {
      supportsFeature: this.#unary((request: InstanceType<typeof resourcePb.SupportsFeatureRequest>) =>
        new resourcePb.SupportsFeatureResponse().setHassupport(FEATURES.has(request.getId())),
      ),
      // What the program itself is, its runner tells it.
      getDeploymentInfo: this.#unary(() =>
        new resourcePb.DeploymentInfo().setSupportedfeaturesList([...FEATURES.values()]),
      ),
      registerResource: this.#unary((request: RegisterRequest) => this.#register(request)),
      registerResourceOutputs: this.#unary(
        async (request: InstanceType<typeof resourcePb.RegisterResourceOutputsRequest>) => {
          const host = await this.#host;
          const outputs = await hashAssets(fromStruct(request.getOutputs()), host.sources.programDir);
          await host.registerOutputs(request.getUrn(), outputs);
          return new emptyPb.Empty();
        },
      ),
      invoke: this.#unary((request: InstanceType<typeof resourcePb.ResourceInvokeRequest>) => this.#invoke(request)),
      readResource: this.#unary((request: InstanceType<typeof resourcePb.ReadResourceRequest>) => this.#read(request)),
      registerStackTransform: this.#unary((callback: Parameters<Transforms["addToStack"]>[0]) => {
        this.#transforms.addToStack(callback);
        return new emptyPb.Empty();
      }),
      registerStackInvokeTransform: this.#unary((callback: Parameters<Transforms["addToInvokes"]>[0]) => {
        this.#transforms.addToInvokes(callback);
        return new emptyPb.Empty();
      }),
      registerPackage: this.#unary((request: InstanceType<typeof resourcePb.RegisterPackageRequest>) => {
        throw notCovered(`The parameterized package of "${request.getName()}"`);
      }),
      existsResource: this.#unary((request: InstanceType<typeof resourcePb.ExistsResourceRequest>) => {
        throw notCovered(`The question whether ${request.getType()} "${request.getId()}" exists`);
      }),
      call: this.#unary((request: InstanceType<typeof resourcePb.ResourceCallRequest>) => {
        throw notCovered(`The method "${request.getTok()}"`);
      }),
      registerResourceHook: this.#unary((request: InstanceType<typeof resourcePb.RegisterResourceHookRequest>) => {
        throw notCovered(`The resource hook "${request.getName()}"`);
      }),
      registerErrorHook: this.#unary((request: InstanceType<typeof resourcePb.RegisterErrorHookRequest>) => {
        throw notCovered(`The error hook "${request.getName()}"`);
      }),
      signalAndWaitForShutdown: this.#unary(async () => {
        await (await this.#host).programDone();
        return new emptyPb.Empty();
      }),
    });
    this.#server.addService(engineGrpc.EngineService, {
      log: this.#unary(async (request: InstanceType<typeof enginePb.LogRequest>) => {
        // What ended the deployment is said already.
        if (ENDS.test(stripVTControlCharacters(request.getMessage()))) return new emptyPb.Empty();
        (await this.#host).log({
          severity: SEVERITIES[request.getSeverity()] ?? "info",
          message: request.getMessage(),
          urn: request.getUrn(),
          ephemeral: request.getEphemeral(),
          streamId: request.getStreamid(),
        });
        return new emptyPb.Empty();
      }),
      requirePulumiVersion: this.#unary((request: InstanceType<typeof enginePb.RequirePulumiVersionRequest>) => {
        const fault = versionFault(request.getPulumiVersionRange());
        if (fault !== undefined) throw new Refusal(fault);
        return new enginePb.RequirePulumiVersionResponse();
      }),
      getRootResource: this.#unary(() => new enginePb.GetRootResourceResponse().setUrn(this.#rootUrn)),
      setRootResource: this.#unary((request: InstanceType<typeof enginePb.SetRootResourceRequest>) => {
        this.#rootUrn = request.getUrn();
        return new enginePb.SetRootResourceResponse();
      }),
    });
    this.#connections = this.#server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  }

  /** Serves one connection of the program's. */
  accept(connection: Duplex): void {
    this.#connections.injectConnection(connection);
  }

  close(): void {
    this.#transforms.close();
    this.#server.forceShutdown();
  }

  async #register(request: RegisterRequest): Promise<Registered> {
    const host = await this.#host;
    await this.#transforms.apply(request);
    const goal = registrationGoal(request, host.sources, host.preview || host.partial);
    goal.inputs = await hashAssets(goal.inputs, host.sources.programDir);
    const parent = goal.parent === undefined ? undefined : this.#goals.get(goal.parent);
    if (parent !== undefined) inherit(goal, parent);
    if (goal.custom && !isProviderType(goal.type) && goal.provider === "") {
      goal.provider = await host.defaultProvider(
        packageOf(goal.type),
        request.getVersion(),
        request.getPlugindownloadurl(),
        goal,
      );
    }
    const state = await host.register(goal);
    this.#transforms.registered(state.urn, request);
    this.#goals.set(state.urn, goal);
    const message = new resourcePb.RegisterResourceResponse().setUrn(state.urn).setId(state.id);
    if (host.isSkipped(state.urn)) return { message: message.setUnknown(true) };
    // A component's old outputs may name resources that are not registered yet: the program must not see them.
    const outputs = goal.custom ? state.outputs : {};
    return {
      message,
      object: toWire(outputs, {
        keepSecrets: request.getAcceptsecrets(),
        keepResources: request.getAcceptresources(),
        keepUnknowns: true,
      }),
    };
  }

  async #read(request: InstanceType<typeof resourcePb.ReadResourceRequest>) {
    const host = await this.#host;
    const goal = readGoal(request, host.sources);
    if (goal.provider === "") {
      goal.provider = await host.defaultProvider(
        packageOf(goal.type),
        request.getVersion(),
        request.getPlugindownloadurl(),
        goal,
      );
    }
    const state = await host.read(goal);
    const accepted = { secrets: request.getAcceptsecrets(), resources: request.getAcceptresources() };
    // SDKs since 3.276 take the id from here, and one that is missing in a preview for unknown.
    return new resourcePb.ReadResourceResponse()
      .setUrn(state.urn)
      .setId(state.id === UNKNOWN_ID ? "" : state.id)
      .setProperties(toStruct(state.outputs, accepted));
  }

  async #invoke(request: InstanceType<typeof resourcePb.ResourceInvokeRequest>) {
    await this.#transforms.applyToInvoke(request);
    const args = fromStruct(request.getArgs());
    const { result, failures } = await (await this.#host).invoke(
      request.getTok(),
      args,
      request.getProvider(),
      request.getVersion(),
    );
    const response = new resourcePb.ResourceInvokeResponse().setReturn(
      toStruct(result, { secrets: true, resources: request.getAcceptresources() }),
    );
    response.setFailuresList(failures.map((failure) => checkFailure(failure)));
    return response;
  }

  /**
   * A unary handler: Stopped becomes UNAVAILABLE; InvokeFailed is the program's to deal with; any other error fails the deployment,
   * and becomes UNAVAILABLE too.
   */
  #unary<Request, Response>(handle: (request: Request) => Response | Promise<Response>) {
    return (call: ServerUnaryCall<Request, Response>, reply: sendUnaryData<Response>): void => {
      Promise.resolve()
        .then(() => handle(call.request))
        .then(
          (response) => reply(null, response),
          (error: unknown) => {
            if (error instanceof InvokeFailed) {
              reply({ code: grpc.status.UNKNOWN, details: error.message });
              return;
            }
            // Any other code would make the SDK throw with a long stack of its own.
            const refuse = (host: MonitorHost): void => host.refuse(error);
            if (!(error instanceof Stopped)) this.#host.then(refuse, () => {});
            reply({ code: grpc.status.UNAVAILABLE, details: SHUT_DOWN });
          },
        );
    };
  }
}

/** An answer whose `object` is not in the message yet. */
interface Registered {
  message: InstanceType<typeof resourcePb.RegisterResourceResponse>;
  object?: Record<string, unknown>;
}

/** Its field in RegisterResourceResponse. */
const OBJECT = 3;
const MONITOR_SERVICE = {
  ...resourceGrpc.ResourceMonitorService,
  registerResource: {
    ...resourceGrpc.ResourceMonitorService.registerResource,
    responseSerialize: ({ message, object }: Registered): Buffer =>
      object === undefined
        ? Buffer.from(message.serializeBinary())
        : appendStruct(message.serializeBinary(), OBJECT, object),
  },
};

type RegisterRequest = InstanceType<typeof resourcePb.RegisterResourceRequest>;

function checkFailure(failure: { property: string; reason: string }) {
  return new providerPb.CheckFailure().setProperty(failure.property).setReason(failure.reason);
}

/** What a child takes from its parent where it says nothing itself. */
function inherit(child: Goal, parent: Goal): void {
  child.deletedWith ??= parent.deletedWith;
  child.protect ??= parent.protect;
  child.retainOnDelete ??= parent.retainOnDelete;
  if (child.custom && child.type !== STACK_TYPE && child.provider === "" && parent.provider !== "") {
    if (packageOf(parent.type) === packageOf(child.type)) child.provider = parent.provider;
  }
}
