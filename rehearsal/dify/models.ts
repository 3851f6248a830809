import { randomUUID } from "node:crypto";
import { type Answer, invalid, ok } from "./answers.ts";
import type { Dify } from "./dify.ts";
import { isObject, type JsonObject, listIn, objectIn, textIn } from "./json.ts";
import { validateModel } from "./model-call.ts";
import { rulesOf } from "./parameter-rules.ts";
import { needDaemon, needRuntime } from "./plugin-daemon.ts";
import {
  activeCredential,
  activeKey,
  addedModels,
  credentialsOf,
  formOf,
  iconsOf,
  listedModel,
  masked,
  modelProviders,
  modelsOf,
  type Provider,
  summary,
} from "./providers.ts";
import { account, bodyOf, type Call, type Route } from "./router.ts";
import type { ModelCredential } from "./state.ts";
import { hidden } from "./tools.ts";

const workspace = "/console/api/workspaces/current";
const base = `${workspace}/model-providers/:provider+`;

export const modelRoutes: Route[] = [
  account(`GET ${workspace}/model-providers`, async ({ dify }) => {
    await needDaemon(dify, "models");
    return ok({ data: modelProviders(dify).map((each) => listed(dify, each)) });
  }),
  account(`GET ${workspace}/models/model-types/llm`, async ({ dify }) => {
    await needDaemon(dify, "models");
    const active = modelProviders(dify).filter((each) => modelsOf(dify, each).length > 0);
    return ok({
      data: active.map((each) => ({
        tenant_id: dify.state.tenantId,
        ...summary(dify, each),
        status: "active",
        models: modelsOf(dify, each).map((model) => listedModel(dify, each, model)),
      })),
    });
  }),
  account(`GET ${workspace}/default-model`, getDefault),
  account(`POST ${workspace}/default-model`, (call) => {
    for (const setting of listIn(bodyOf(call), "model_settings"))
      if (textIn(setting, "provider"))
        call.dify.state.defaultModels[textIn(setting, "model_type")] = {
          provider: textIn(setting, "provider"),
          model: textIn(setting, "model"),
        };
    call.dify.save();
    return ok();
  }),
  account(`GET ${base}/models`, (call) => {
    const provider = needProvider(call);
    return ok({
      data: modelsOf(call.dify, provider).map((model) => ({
        ...listedModel(call.dify, provider, model),
        provider: withTenant(call.dify, provider),
      })),
    });
  }),
  account(`POST ${base}/models`, activate),
  account(`GET ${base}/models/parameter-rules`, (call) => {
    return ok({ data: rulesOf(call.dify, needProvider(call), call.url.searchParams.get("model") ?? "") });
  }),
  account(`GET ${base}/models/credentials`, getCredentials),
  account(`POST ${base}/models/credentials`, addCredential),
  account(`PUT ${base}/models/credentials`, updateCredential),
  account(`DELETE ${base}/models/credentials`, deleteCredential),
  account(`POST ${base}/models/credentials/validate`, validate),
  account(`POST ${base}/models/credentials/switch`, activate),
  account(`GET ${base}/credentials`, (call) => {
    const provider = needProvider(call);
    const found = activeCredential(call.dify, provider, "");
    return ok({ credentials: found ? masked(provider, found) : {} });
  }),
  account(`POST ${base}/credentials`, addCredential),
  account(`PUT ${base}/credentials`, updateCredential),
  account(`DELETE ${base}/credentials`, deleteCredential),
  account(`POST ${base}/credentials/validate`, validate),
  account(`POST ${base}/credentials/switch`, activate),
];

function needProvider({ dify, part }: Call): Provider {
  const found = modelProviders(dify).find(({ id }) => id === part("provider"));
  if (!found) throw invalid(`Provider ${part("provider")} does not exist.`);
  return found;
}

async function addCredential(call: Call): Promise<Answer> {
  const { dify } = call;
  const provider = needProvider(call);
  const body = bodyOf(call);
  const model = textIn(body, "model");
  const known = credentialsOf(dify, provider.id, model).map(({ name }) => name);
  const wanted = textIn(body, "name");
  if (known.includes(wanted))
    throw invalid(
      model
        ? `Model credential with name '${wanted}' already exists for ${model}.`
        : `Credential with name '${wanted}' already exists.`,
    );
  const credentials = filled(provider, model, objectIn(body, "credentials"));
  await needRuntime(dify, "dispatch/model/validate_provider_credentials");
  const failure = await validateModel(dify, provider, model, credentials);
  if (failure) throw invalid(failure);
  const name = wanted || unusedName(known);
  const added = {
    id: randomUUID(),
    provider: provider.id,
    model,
    modelType: textIn(body, "model_type"),
    name,
    credentials,
  };
  if (known.length === 0) dify.state.activeModels[activeKey(provider.id, model)] = added.id;
  dify.state.modelCredentials.push(added);
  dify.save();
  return ok({ result: "success" }, 201);
}

function unusedName(known: string[]): string {
  for (let number = 1; ; number++) if (!known.includes(`API KEY ${number}`)) return `API KEY ${number}`;
}

async function updateCredential(call: Call): Promise<Answer> {
  const { dify } = call;
  const provider = needProvider(call);
  const body = bodyOf(call);
  const known = needCredential(dify, provider, body);
  const given = Object.entries(objectIn(body, "credentials"));
  const merged = given.map(([key, value]) => [key, value === hidden ? (known.credentials[key] ?? "") : value]);
  const credentials = filled(provider, known.model, Object.fromEntries(merged));
  await needRuntime(dify, "dispatch/model/validate_model_credentials");
  const failure = await validateModel(dify, provider, known.model, credentials);
  if (failure) throw invalid(failure);
  known.credentials = credentials;
  known.name = textIn(body, "name") || known.name;
  dify.save();
  return ok();
}

/**
 * Deleting the active one leaves none active, whatever else is there, and the model's apps are refused until another is chosen. So does
 * the real one, once its cache, out of which they may go on for a day, is empty.
 */
function deleteCredential(call: Call): Answer {
  const { dify } = call;
  const provider = needProvider(call);
  const gone = needCredential(dify, provider, bodyOf(call));
  const { state } = dify;
  state.modelCredentials = state.modelCredentials.filter((each) => each !== gone);
  const key = activeKey(provider.id, gone.model);
  if (state.activeModels[key] === gone.id) state.activeModels[key] = null;
  dify.save();
  return { status: 204 };
}

async function validate(call: Call): Promise<Answer> {
  const provider = needProvider(call);
  const body = bodyOf(call);
  const model = textIn(body, "model");
  await needRuntime(call.dify, "dispatch/model/validate_model_credentials");
  const credentials = filled(provider, model, objectIn(body, "credentials"));
  const failure = await validateModel(call.dify, provider, model, credentials);
  return ok(failure ? { result: "error", error: failure } : { result: "success" });
}

function activate(call: Call): Answer {
  const provider = needProvider(call);
  const body = bodyOf(call);
  if (textIn(body, "credential_id")) {
    const wanted = needCredential(call.dify, provider, body);
    call.dify.state.activeModels[activeKey(provider.id, wanted.model)] = wanted.id;
    call.dify.save();
  }
  return ok();
}

function needCredential(dify: Dify, provider: Provider, body: JsonObject): ModelCredential {
  const id = textIn(body, "credential_id");
  const found = dify.state.modelCredentials.find((each) => each.provider === provider.id && each.id === id);
  if (!found) throw invalid("Credential record not found");
  return found;
}

function getCredentials(call: Call): Answer {
  const provider = needProvider(call);
  const model = call.url.searchParams.get("model") ?? "";
  const all = credentialsOf(call.dify, provider.id, model);
  const current = all.find(({ id }) => id === call.dify.state.activeModels[activeKey(provider.id, model)]);
  const shown = current ?? all[0];
  return ok({
    credentials: shown ? masked(provider, shown) : {},
    current_credential_id: current?.id ?? null,
    current_credential_name: current?.name ?? null,
    load_balancing: { enabled: false, configs: [] },
    available_credentials: all.map(({ id, name }) => ({ credential_id: id, credential_name: name })),
  });
}

/** What a form lets through: its own fields, with their defaults. @throws where a required one is missing */
function filled(provider: Provider, model: string, given: JsonObject): Record<string, string> {
  const credentials: Record<string, string> = {};
  for (const field of formOf(provider, model)) {
    const shownFor = listIn(field, "show_on")
      .filter(isObject)
      .map((each) => textIn(each, "value"));
    const name = textIn(field, "variable");
    const value = given[name];
    if (value !== undefined && value !== null && value !== "") credentials[name] = String(value);
    else if (field.required === true && shownFor.length === 0) throw invalid(`Variable ${name} is required`);
    else if (typeof field.default === "string" && (shownFor.length === 0 || shownFor.includes("llm")))
      credentials[name] = field.default;
  }
  return credentials;
}

function getDefault({ dify, url }: Call): Answer {
  const type = url.searchParams.get("model_type") ?? "llm";
  const chosen = dify.state.defaultModels[type];
  const provider = chosen && modelProviders(dify).find(({ id }) => id === chosen.provider);
  if (!provider || !modelsOf(dify, provider).includes(chosen.model)) return ok({ data: null });
  return ok({ data: { model: chosen.model, model_type: type, provider: withTenant(dify, provider) } });
}

const withTenant = (dify: Dify, provider: Provider): JsonObject => ({
  ...summary(dify, provider),
  provider_name: "",
  supported_model_types: listIn(provider.declaration, "supported_model_types"),
  models: [],
  tenant_id: dify.state.tenantId,
});

function listed(dify: Dify, provider: Provider): JsonObject {
  const { declaration } = provider;
  const { position: _, models: __, provider_name: ___, ...shown } = declaration;
  const named = ({ id, name }: ModelCredential) => ({ credential_id: id, credential_name: name });
  const currentOf = (model: string) => {
    const all = credentialsOf(dify, provider.id, model);
    const current = all.find(({ id }) => id === dify.state.activeModels[activeKey(provider.id, model)]);
    return { current_credential_id: current?.id ?? null, current_credential_name: current?.name ?? null, all };
  };
  const { all: ownCredentials, ...current } = currentOf("");
  return {
    tenant_id: dify.state.tenantId,
    ...shown,
    provider: provider.id,
    icon_small: iconsOf(dify, provider),
    preferred_provider_type: "custom",
    custom_configuration: {
      status: modelsOf(dify, provider).length > 0 ? "active" : "no-configure",
      ...current,
      available_credentials: ownCredentials.map(named),
      custom_models: addedModels(dify, provider).map((model) => {
        const { all, ...its } = currentOf(model);
        return {
          model,
          model_type: "llm",
          credentials: null,
          ...its,
          available_model_credentials: all.map(named),
          unadded_to_model_list: false,
        };
      }),
      can_added_models: [],
    },
    system_configuration: { enabled: false, current_quota_type: null, quota_configurations: [] },
  };
}
