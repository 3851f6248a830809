import { enginePlace } from "../../../stacks/docker/place.ts";
import type { HostSettings } from "../../../stacks/schema/host.ts";
import { containerState } from "../container.ts";
import { plural } from "../display/text.ts";
import { listResources, type Outputs, readOutputs } from "../engines/state.ts";
import { machineStatus } from "../machine.ts";
import { rentalState, rentalWords } from "../rental.ts";
import { reportOf } from "../report.ts";
import { openStack } from "../stack.ts";
import type { Context } from "./command.ts";

/** `atelier status`: what there is, without a change and without the host's login. */
export async function status({ options, terminal }: Context): Promise<number> {
  const stack = openStack(options.stack);
  const engine = options.engine ?? stack.settings.engine;
  // As `up` counts them: components, and the stack itself, are names for what holds others.
  const resources = (await listResources(stack.name)).filter(
    ({ type, custom }) => custom && !type.startsWith("pulumi:"),
  );
  const outputs = resources.length > 0 ? await readOutputs(stack.name) : {};
  // Its address is of the host's own loopback then: what answers there on this machine is something else.
  const tunnelled = stack.settings.webui.exposure === "tunnel" && isElsewhere(stack.settings.host);
  const [webui, dify] = await Promise.all(
    [outputs.webuiUrl, outputs.difyUrl].map((url, index) => {
      if (typeof url?.value !== "string") return undefined;
      if (index === 1) return ping(url.value);
      return tunnelled ? { url: url.value, through: "ssh" as const } : ping(url.value, loginOf(outputs));
    }),
  );
  const machine = await machineStatus(stack);
  const container = await containerState(stack);
  const rental = await rentalState(stack);
  const report = reportOf(stack.name);
  if (options.json) {
    const proof = report && {
      provedAt: report.provedAt,
      images: report.images.length,
      ok: report.problems === undefined && report.checks.every(({ ok }) => ok),
    };
    terminal.answer(
      JSON.stringify({
        stack: stack.name,
        engine,
        resources: resources.length,
        webui,
        dify,
        machine,
        container,
        rental,
        proof,
      }),
    );
    return 0;
  }
  const runs = (running: boolean) => (running ? "runs" : "does not run");
  const rows: [string, string | undefined][] = [
    ["Stack", stack.name],
    ["Engine", engine],
    ["State", resources.length === 0 ? "nothing was made yet" : plural(resources.length, "resource")],
    ["Rental", rental && rentalWords(rental, stack.name)],
    ["Host", machine?.host === undefined ? undefined : `on this machine, ${runs(machine.host)}`],
    ["Container", container && (container.why ?? `${container.container} runs`)],
    [
      "Upstreams",
      machine?.upstreams === undefined ? undefined : `stand-ins on this machine, ${runs(machine.upstreams)}`,
    ],
    ["WebUI", webui && pinged(webui)],
    ["Dify", dify && `${pinged(dify)}${machine?.dify === undefined ? "" : "; REHEARSAL: a stand-in"}`],
    [
      "Proved",
      report &&
        `${report.provedAt}, ${plural(report.images.length, "picture")}, ${plural(report.checks.length, "check")}`,
    ],
    ["Failed", report?.problems && `the update of ${report.startedAt}: ${firstReason(report.problems)}`],
  ];
  for (const [name, value] of rows) if (value !== undefined) terminal.answer(`${name.padEnd(10)} ${value}`);
  return 0;
}

/** A step's first line only says that it ended; its own error, or the first check of a proof that failed, stands below. */
function firstReason(problems: string[]): string | undefined {
  const lines = problems.join("\n").split("\n");
  return (lines.find((line) => /^\s*(error: |FAIL )/.test(line)) ?? lines[0])?.trim();
}

const isElsewhere = (host: HostSettings): boolean =>
  host.kind === "ssh" || (host.kind === "docker" && enginePlace(host).kind === "ssh");

/** `through`: not asked, as only a login at the host leads there. */
type Pinged = { url: string } & ({ through: "ssh" } | { answers: boolean; status?: number; why?: string });

const pinged = (at: Pinged): string =>
  "through" in at
    ? `${at.url} on the host, through SSH only (webui.exposure: tunnel)`
    : `${at.url} ${at.answers ? `answers (HTTP ${at.status})` : `does not answer: ${at.why}`}`;

/** The gate lets nobody without it see whether a WebUI stands behind. */
function loginOf({ user, password }: Outputs): Record<string, string> {
  if (typeof user?.value !== "string" || typeof password?.value !== "string") return {};
  return { authorization: `Basic ${Buffer.from(`${user.value}:${password.value}`).toString("base64")}` };
}

/** Any answer will do, a refused password too; but for the gate's own that there is no WebUI to ask. */
async function ping(url: string, headers: Record<string, string> = {}): Promise<Pinged> {
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(3000), redirect: "manual" });
    const { status } = response;
    if (status < 502) {
      await response.body?.cancel();
      return { url, answers: true, status };
    }
    const { detail } = (await response.json().catch(() => ({}))) as { detail?: string };
    return { url, answers: false, status, why: `HTTP ${status}${detail ? `, ${detail}` : ""}` };
  } catch (error) {
    const cause =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : (error as Error).message;
    return { url, answers: false, why: cause };
  }
}
