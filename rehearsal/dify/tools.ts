import { randomBytes, randomUUID } from "node:crypto";
import { type Answer, internalError, invalid, ok } from "./answers.ts";
import tools from "./contract/stable-diffusion-tools.json" with { type: "json" };
import builtIn from "./contract/tool-providers.json" with { type: "json" };
import type { Dify } from "./dify.ts";
import { isObject, type JsonObject, listIn, objectIn, textIn } from "./json.ts";
import { needDaemon, needRuntime } from "./plugin-daemon.ts";
import { installed } from "./plugins.ts";
import { account, bodyOf, type Call, type Route } from "./router.ts";
import { validateStableDiffusion } from "./stable-diffusion.ts";
import type { Package, ToolCredential } from "./state.ts";

/** The one tool provider that does something here. */
export const stableDiffusion = "langgenius/stablediffusion/stablediffusion";

const base = "/console/api/workspaces/current/tool-provider/builtin/:provider+";
/** Sent in the place of a secret that stays as it is. */
export const hidden = "[__HIDDEN__]";

export const toolRoutes: Route[] = [
  account("GET /console/api/workspaces/current/tool-providers", async ({ dify }) => {
    await needDaemon(dify, "tools");
    const own = builtIn.map((each) => ({ ...each, icon: `${dify.config.consoleApiUrl}${each.icon}` }));
    return ok([...own, ...toolProviders(dify).map((each) => listed(dify, each))]);
  }),
  account(`GET ${base}/tools`, (call) => {
    const found = needProvider(call);
    return ok(found.id === stableDiffusion ? tools : []);
  }),
  account(`GET ${base}/credential/schema/:type`, (call) => ok(schemaOf(needProvider(call)))),
  account(`GET ${base}/credential/info`, (call) =>
    ok({
      supported_credential_types: ["api-key"],
      is_oauth_custom_client_enabled: false,
      credentials: shown(call.dify, needProvider(call)),
    }),
  ),
  account(`GET ${base}/credentials`, (call) => ok(shown(call.dify, needProvider(call)))),
  // After credential/info: its pattern fits that, too.
  account(`GET ${base}/info`, (call) => {
    const found = needProvider(call);
    if (credentialsOf(call.dify, found.id).length === 0) throw notAdded(found.id);
    return ok(listed(call.dify, found));
  }),
  account(`POST ${base}/add`, add),
  account(`POST ${base}/update`, update),
  account(`POST ${base}/delete`, (call) => {
    const gone = needCredential(call, textIn(bodyOf(call), "credential_id"));
    const { state } = call.dify;
    state.toolCredentials = state.toolCredentials.filter((each) => each !== gone);
    call.dify.save();
    return ok();
  }),
  account(`POST ${base}/default-credential`, (call) => {
    const wanted = needCredential(call, textIn(bodyOf(call), "id"));
    for (const each of credentialsOf(call.dify, wanted.provider)) each.isDefault = each === wanted;
    call.dify.save();
    return ok();
  }),
];

interface Provider {
  id: string;
  package: Package;
}

/** The credential that a node or an agent's tool uses: the one it names, else the default one. */
export function toolCredential(dify: Dify, provider: string, id?: string): ToolCredential | undefined {
  const all = credentialsOf(dify, provider);
  return id ? all.find((each) => each.id === id) : all[0];
}

export const hasToolProvider = (dify: Dify, provider: string): boolean =>
  toolProviders(dify).some(({ id }) => id === provider);

function toolProviders(dify: Dify): Provider[] {
  return installed(dify).flatMap(({ package: found }) => {
    const name = textIn(objectIn(objectIn(found.declaration, "tool"), "identity"), "name");
    return name ? [{ id: `${found.pluginId}/${name}`, package: found }] : [];
  });
}

/** The default one first; without a chosen one that is the newest. */
function credentialsOf({ state }: Dify, provider: string): ToolCredential[] {
  const own = state.toolCredentials.filter((each) => each.provider === provider).toReversed();
  return own.toSorted((one, other) => Number(other.isDefault) - Number(one.isDefault));
}

/** @throws 500 where the plugin is missing, as the real one does */
function needProvider({ dify, part }: Call): Provider {
  const found = toolProviders(dify).find(({ id }) => id === part("provider"));
  if (!found) throw internalError();
  return found;
}

const notAdded = (provider: string) => invalid(`you have not added provider ${provider}`);

function needCredential({ dify, part }: Call, id: string): ToolCredential {
  const found = credentialsOf(dify, part("provider")).find((each) => each.id === id);
  if (!found) throw notAdded(part("provider"));
  return found;
}

async function add(call: Call): Promise<Answer> {
  const { dify } = call;
  const provider = call.part("provider");
  const body = bodyOf(call);
  const found = needInstalled(dify, provider);
  const credentials = await validated(dify, found, objectIn(body, "credentials"));
  const name = nameFor(dify, provider, textIn(body, "name"));
  const { toolCredentials } = dify.state;
  const type = textIn(body, "type") || "api-key";
  toolCredentials.push({ id: randomUUID(), provider, name, type, isDefault: false, credentials });
  dify.save();
  return ok();
}

async function update(call: Call): Promise<Answer> {
  const { dify } = call;
  const body = bodyOf(call);
  const known = needCredential(call, textIn(body, "credential_id"));
  const found = needInstalled(dify, known.provider);
  const given = Object.entries(objectIn(body, "credentials"));
  const merged = given.map(([key, value]) => [key, value === hidden ? (known.credentials[key] ?? "") : value]);
  const credentials = await validated(dify, found, Object.fromEntries(merged));
  const name = textIn(body, "name");
  if (name && name !== known.name) known.name = nameFor(dify, known.provider, name);
  known.credentials = credentials;
  dify.save();
  return ok();
}

/** @throws in the words of the plugin's request */
function needInstalled(dify: Dify, provider: string): Provider {
  const found = toolProviders(dify).find(({ id }) => id === provider);
  if (!found) throw invalid(`req_id: ${requestId()} PluginNotFoundError: plugin not found`);
  return found;
}

export const requestId = () => randomBytes(5).toString("hex");

/** What a failing plugin's message looks like when it has passed the daemon and the API. */
export const pluginInvokeError = (type: string, message: string) =>
  `req_id: ${requestId()} PluginInvokeError: ${JSON.stringify({ args: {}, error_type: type, message })}`;

async function validated(dify: Dify, provider: Provider, given: JsonObject): Promise<Record<string, string>> {
  for (const field of schemaOf(provider))
    if (isObject(field) && field.required === true && !textIn(given, textIn(field, "name")))
      throw invalid(`credential ${textIn(field, "name")} is required`);
  const credentials = Object.fromEntries(Object.entries(given).map(([key, value]) => [key, String(value)]));
  await needRuntime(dify, "dispatch/tool/validate_credentials");
  if (provider.id === stableDiffusion) {
    const failure = await validateStableDiffusion(dify.fetch, credentials);
    if (failure) throw invalid(pluginInvokeError("ToolProviderCredentialValidationError", failure));
  }
  return credentials;
}

function nameFor(dify: Dify, provider: string, wanted: string): string {
  const names = credentialsOf(dify, provider).map(({ name }) => name);
  if (wanted.length > 30) throw invalid("name must be less than 30 characters");
  if (wanted && names.includes(wanted)) throw invalid(`the credential name '${wanted}' is already used`);
  if (wanted) return wanted;
  for (let number = 1; ; number++) if (!names.includes(`API KEY ${number}`)) return `API KEY ${number}`;
}

const schemaOf = (provider: Provider) => listIn(objectIn(provider.package.declaration, "tool"), "credentials_schema");

function shown(dify: Dify, { id, package: found }: Provider): JsonObject[] {
  return credentialsOf(dify, id).map((each, at) => ({
    id: each.id,
    name: each.name,
    provider: id,
    credential_type: each.type,
    is_default: at === 0,
    credentials: masked(found, each),
  }));
}

function masked(found: Package, { credentials }: ToolCredential): JsonObject {
  const secret = new Set(
    schemaOf({ id: "", package: found }).flatMap((field) =>
      textIn(field, "type") === "secret-input" ? [textIn(field, "name")] : [],
    ),
  );
  return Object.fromEntries(
    Object.entries(credentials).map(([key, value]) => [key, secret.has(key) ? mask(value) : value]),
  );
}

function mask(value: string): string {
  if (value.length <= 6) return "*".repeat(value.length);
  return `${value.slice(0, 2)}${"*".repeat(value.length - 4)}${value.slice(-2)}`;
}

function listed(dify: Dify, { id, package: found }: Provider): JsonObject {
  const identity = objectIn(objectIn(found.declaration, "tool"), "identity");
  const [credential] = credentialsOf(dify, id);
  const names = schemaOf({ id, package: found }).map((field) => textIn(field, "name"));
  return {
    id,
    author: found.author,
    name: id,
    plugin_id: found.pluginId,
    plugin_unique_identifier: found.id,
    description: objectIn(identity, "description"),
    icon: `${dify.config.consoleApiUrl}/console/api/workspaces/current/plugin/icon?tenant_id=${dify.state.tenantId}&filename=${textIn(identity, "icon")}`,
    icon_dark: "",
    label: objectIn(identity, "label"),
    type: "builtin",
    team_credentials: credential ? masked(found, credential) : Object.fromEntries(names.map((name) => [name, ""])),
    is_team_authorization: credential !== undefined,
    allow_delete: true,
    tools: [],
    labels: listIn(identity, "tags"),
  };
}
