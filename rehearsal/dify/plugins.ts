import { randomUUID } from "node:crypto";
import { type Answer, invalid, ok, pluginError, Refusal } from "./answers.ts";
import type { Dify } from "./dify.ts";
import { type JsonObject, listIn, objectIn, textIn } from "./json.ts";
import { downloadFromMarketplace, latestVersions, unreachableAfterRetries } from "./marketplace.ts";
import { readPackage } from "./packages.ts";
import { needDaemon } from "./plugin-daemon.ts";
import { account, bodyOf, type Call, type Route } from "./router.ts";
import type { Package, Plugin, Task } from "./state.ts";

const base = "/console/api/workspaces/current/plugin";

export const pluginRoutes: Route[] = [
  account(`GET ${base}/list`, list),
  account(`POST ${base}/upload/pkg`, upload),
  account(`POST ${base}/upload/github`, (call) => {
    const [repo, version, file] = ["repo", "version", "package"].map((key) => textIn(bodyOf(call), key));
    throw unreachableAfterRetries(`https://github.com/${repo}/releases/download/${version}/${file}`);
  }),
  account(`POST ${base}/install/pkg`, (call) => install(call, identifiers(call), "package")),
  account(`POST ${base}/install/github`, (call) =>
    install(call, [textIn(bodyOf(call), "plugin_unique_identifier")], "github"),
  ),
  account(`POST ${base}/install/marketplace`, installFromMarketplace),
  account(`POST ${base}/upgrade/marketplace`, upgrade),
  account(`GET ${base}/marketplace/pkg`, async (call) => {
    const found = await downloadFromMarketplace(call.dify, call.url.searchParams.get("plugin_unique_identifier") ?? "");
    return ok({ manifest: found.declaration });
  }),
  account(`GET ${base}/fetch-manifest`, (call) => {
    const found = call.dify.state.packages[call.url.searchParams.get("plugin_unique_identifier") ?? ""];
    if (!found) throw pluginError("plugin package not found, please upload it firstly");
    return ok({ manifest: found.declaration });
  }),
  account(`GET ${base}/tasks`, ({ dify }) => {
    settle(dify);
    return ok({ tasks: dify.state.tasks.toReversed().map((task) => told(dify, task)) });
  }),
  account(`GET ${base}/tasks/:id`, ({ dify, part }) => {
    settle(dify);
    const task = dify.state.tasks.find(({ id }) => id === part("id"));
    if (!task) throw pluginError("task not found");
    return ok({ task: told(dify, task) });
  }),
  account(`POST ${base}/list/installations/ids`, (call) => {
    settle(call.dify);
    const wanted = listIn(bodyOf(call), "plugin_ids");
    const found = call.dify.state.plugins.filter((each) => wanted.includes(packageOf(call.dify, each).pluginId));
    return ok({ plugins: found.map((each) => listed(call.dify, each)) });
  }),
  account(`POST ${base}/list/latest-versions`, async (call) =>
    ok({ versions: await latestVersions(call.dify, listIn(bodyOf(call), "plugin_ids")) }),
  ),
  account(`POST ${base}/uninstall`, (call) => {
    settle(call.dify);
    const id = textIn(bodyOf(call), "plugin_installation_id");
    const { state } = call.dify;
    const gone = state.plugins.find((each) => each.id === id);
    if (gone) uninstall(call.dify, gone);
    call.dify.save();
    return ok({ success: true });
  }),
  account(`GET ${base}/preferences/fetch`, ({ dify }) => ok(dify.state.preferences)),
  account(`POST ${base}/preferences/change`, (call) => {
    const body = bodyOf(call);
    call.dify.state.preferences = {
      permission: objectIn(body, "permission"),
      auto_upgrade: objectIn(body, "auto_upgrade"),
    };
    call.dify.save();
    return ok({ success: true });
  }),
  account(`GET ${base}/debugging-key`, ({ dify }) => {
    if (textIn(objectIn(dify.state.preferences, "permission"), "debug_permission") === "noone")
      throw new Refusal(
        403,
        "forbidden",
        "You don't have the permission to access the requested resource. It is either read-protected or not readable by the server.",
      );
    return ok({ key: randomUUID(), host: "localhost", port: 5003 });
  }),
];

/** The plugins that are installed now, with what they declare. */
export function installed(dify: Dify): { plugin: Plugin; package: Package }[] {
  settle(dify);
  return dify.state.plugins.map((plugin) => ({ plugin, package: packageOf(dify, plugin) }));
}

function packageOf({ state }: Dify, plugin: Plugin): Package {
  const found = state.packages[plugin.package];
  if (!found) throw new Error(`The stand-in's state has no package ${plugin.package}`);
  return found;
}

async function list({ dify, url }: Call): Promise<Answer> {
  await needDaemon(dify, "list");
  const all = installed(dify)
    .map(({ plugin }) => listed(dify, plugin))
    .toReversed();
  const [page, size] = [Number(url.searchParams.get("page") ?? 1), Number(url.searchParams.get("page_size") ?? 256)];
  return ok({ plugins: all.slice((page - 1) * size, page * size), total: all.length });
}

async function upload(call: Call): Promise<Answer> {
  const { dify } = call;
  await needDaemon(dify, "install/upload/package");
  const found = readPackage(await uploaded(call));
  if (!found) throw pluginError("difypkg: not a valid difypkg file");
  if (dify.config.forceVerifyingSignature && !found.verified)
    throw pluginError("plugin verification has been enabled, and the plugin you want to install has a bad signature");
  dify.state.packages[found.id] = found;
  dify.save();
  return ok({
    unique_identifier: found.id,
    manifest: found.declaration,
    verification: found.verified ? { authorized_category: "langgenius" } : null,
  });
}

async function uploaded({ headers, body }: Call): Promise<Uint8Array> {
  try {
    const form = await new Response(body as Uint8Array<ArrayBuffer>, {
      headers: { "Content-Type": headers["content-type"] ?? "" },
    }).formData();
    const part = form.get("pkg");
    if (part instanceof Blob) return new Uint8Array(await part.arrayBuffer());
  } catch {}
  throw invalid("File is required");
}

const identifiers = (call: Call): string[] =>
  listIn(bodyOf(call), "plugin_unique_identifiers").filter((each) => typeof each === "string");

async function installFromMarketplace(call: Call): Promise<Answer> {
  const wanted = identifiers(call);
  if (allInstalled(call.dify, wanted)) return ok({ all_installed: true, task_id: "" });
  const ids: string[] = [];
  // The identifier that was asked for is not compared with what came: the real one does not, either.
  for (const identifier of wanted) ids.push((await downloadFromMarketplace(call.dify, identifier)).id);
  return install(call, ids, "marketplace");
}

async function upgrade(call: Call): Promise<Answer> {
  const body = bodyOf(call);
  const [from, to] = ["original", "new"].map((key) => textIn(body, `${key}_plugin_unique_identifier`));
  const found = await downloadFromMarketplace(call.dify, to ?? "");
  return install(call, [found.id], "marketplace", from);
}

async function install({ dify }: Call, ids: string[], source: string, replaces?: string): Promise<Answer> {
  await needDaemon(dify, "install/identifiers");
  settle(dify);
  for (const id of ids) {
    if (!/^([\w-]+\/)?[\w-]+:\d+\.\d+\.\d+\S*@[0-9a-f]{32,64}$/.test(id)) throw notDecoded(dify, id);
    if (!dify.state.packages[id]) throw pluginError("plugin package not found, please upload it firstly");
  }
  if (allInstalled(dify, ids)) return ok({ all_installed: true, task_id: "" });
  const task: Task = {
    id: randomUUID(),
    createdAt: new Date().toISOString(),
    doneAt: Date.now() + dify.config.installTime,
    settled: false,
    failure: dify.lies.tells("install_fails") ? noWayToPypi : dify.lies.tells("no_python") ? noPython : undefined,
    plugins: ids.map((identifier) => ({ identifier, source, replaces })),
  };
  dify.state.tasks.push(task);
  dify.save();
  return ok({ all_installed: false, task_id: task.id });
}

const allInstalled = (dify: Dify, ids: string[]) => {
  settle(dify);
  return ids.every((id) => dify.state.plugins.some((plugin) => plugin.package === id));
};

/** Ends the installations whose time has come. */
function settle(dify: Dify): void {
  const due = dify.state.tasks.filter((task) => !task.settled && task.doneAt <= Date.now());
  for (const task of due) {
    task.settled = true;
    if (task.failure === undefined) for (const each of task.plugins) settleOne(dify, each);
  }
  if (due.length > 0) dify.save();
}

function settleOne(dify: Dify, { identifier, source, replaces }: Task["plugins"][number]): void {
  const { state } = dify;
  const wanted = state.packages[identifier];
  if (!wanted) return;
  if (replaces) state.plugins = state.plugins.filter((plugin) => plugin.package !== replaces);
  // Another package of an installed plugin: the task says success, and the old one stays. So does the real one.
  if (state.plugins.some((plugin) => packageOf(dify, plugin).pluginId === wanted.pluginId)) return;
  state.plugins.push({ id: randomUUID(), package: identifier, source, installedAt: new Date().toISOString() });
}

/** Credentials of tools and of single models survive; those of a whole provider go with it. */
function uninstall(dify: Dify, gone: Plugin): void {
  const { state } = dify;
  const { pluginId } = packageOf(dify, gone);
  state.plugins = state.plugins.filter((each) => each !== gone);
  state.modelCredentials = state.modelCredentials.filter(
    ({ provider, model }) => model !== "" || !provider.startsWith(`${pluginId}/`),
  );
}

function listed(dify: Dify, plugin: Plugin): JsonObject {
  const found = packageOf(dify, plugin);
  const tool = found.declaration.tool ? { ...objectIn(found.declaration, "tool"), plugin_id: found.pluginId } : null;
  return {
    id: plugin.id,
    created_at: plugin.installedAt,
    updated_at: plugin.installedAt,
    tenant_id: dify.state.tenantId,
    endpoints_setups: 0,
    endpoints_active: 0,
    runtime_type: "local",
    source: plugin.source,
    meta: {},
    plugin_id: found.pluginId,
    plugin_unique_identifier: found.id,
    version: found.version,
    checksum: found.checksum,
    declaration: { ...found.declaration, tool },
    name: found.name,
    installation_id: plugin.id,
  };
}

function told(dify: Dify, task: Task): JsonObject {
  const status = !task.settled ? "running" : task.failure === undefined ? "success" : "failed";
  const message = { running: "starting", success: "installed", failed: task.failure ?? "" }[status];
  return {
    id: task.id,
    created_at: task.createdAt,
    updated_at: task.settled ? new Date(task.doneAt).toISOString() : task.createdAt,
    status,
    total_plugins: task.plugins.length,
    completed_plugins: status === "success" ? task.plugins.length : 0,
    plugins: task.plugins.map(({ identifier, source }) => {
      const found = dify.state.packages[identifier];
      return {
        plugin_unique_identifier: identifier,
        plugin_id: found?.pluginId ?? "",
        status,
        message,
        icon: textIn(found?.declaration, "icon"),
        labels: objectIn(found?.declaration, "label"),
        source,
      };
    }),
  };
}

function notDecoded({ config, state }: Dify, id: string) {
  const daemon = config.pluginDaemonUrl || "http://127.0.0.1:5002";
  const query = `plugin_unique_identifier=${encodeURIComponent(id)}&PluginUniqueIdentifier=${encodeURIComponent(id)}`;
  const url = `${daemon}/plugin/${state.tenantId}/management/decode/from_identifier?${query}`;
  return pluginError(
    `Client error '400 Bad Request' for url '${url}'\nFor more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/400`,
  );
}

const noWayToPypi =
  "failed to launch plugin: failed to install dependencies: failed to install dependencies: exit status 1, output: " +
  "error: Request failed after 3 retries\n  Caused by: Failed to fetch: `simple/dify-plugin/` " +
  "(REHEARSAL: told to fail)";

const noPython =
  "failed to launch plugin: failed to create virtual environment: exit status 2, output: error: Request failed after 3 retries\n" +
  "  Caused by: Failed to download `https://github.com/astral-sh/python-build-standalone/releases/download/20251031/" +
  "cpython-3.12.12-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz` (REHEARSAL: told to fail)";
