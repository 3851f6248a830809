import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { equalValues } from "../../../engine/src/compare.ts";
import { destroy, type EngineOptions, preview, refresh, type UpdateResult, up } from "../../../engine/src/index.ts";
import { Disk } from "./disk.ts";
import { closeMonitors } from "./inProcess.ts";
import { RUN_KEY, watchProgram } from "./inProcessProgram.ts";
import { type Cut, type Fault, Machine } from "./machine.ts";
import { type Change, changed, EMPTY, type Entry, type Model, PROJECT, planted, STACK } from "./model.ts";
import { type ProgramFault, type Registration, registrationsOf } from "./registrations.ts";
import { isObject, operationsOf, resourcesOf, uidOf } from "./saved.ts";
import { expectedInputs, type Operation, Watch } from "./watch.ts";
import { plain, World } from "./world.ts";

/** One thing that is done, and what happens before and meanwhile. */
export interface Chapter {
  changes: Change[];
  /** What somebody else does to the world first. */
  drift: { kind: "remove" | "change"; at: number }[];
  operation: Operation;
  faults: Fault[];
  cut: Cut | undefined;
  programFault: ProgramFault | undefined;
  parallel: number;
  seed: number;
}

/** A program, what is done with it one after the other, and what comes in between. */
export interface Story {
  entries: Omit<Entry, "uid">[];
  /** For the changes that add one. */
  fresh: Omit<Entry, "uid">[];
  chapters: Chapter[];
  /** Whether somebody looks after what a cut-off create may have left, before all is put right again. */
  tidy: boolean;
  /** Whether all is put right after a refresh even where none is needed. */
  refreshed: boolean;
}

const OPERATIONS = { preview, up, refresh, destroy };
const RUN_DEADLINE_MS = 240_000;
/** Nothing goes wrong. */
export const QUIET: Omit<Chapter, "operation"> = {
  changes: [],
  drift: [],
  faults: [],
  cut: undefined,
  programFault: undefined,
  parallel: 8,
  seed: 1,
};

/** Where stories are played: one project for all, a folder for each. */
export class Stage {
  readonly dir: string;
  /** Runs of the engine so far. */
  runs = 0;
  kills = 0;
  stories = 0;

  constructor(base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()) {
    this.dir = mkdtempSync(join(base, "engine-random-"));
    writeFileSync(join(this.dir, "Pulumi.yaml"), `name: ${PROJECT}\nruntime: nodejs\nmain: index.ts\n`);
    writeFileSync(join(this.dir, "index.ts"), "");
  }

  /** @throws with all that was wrong */
  async play(story: Story): Promise<void> {
    const dir = join(this.dir, `story-${++this.stories}`);
    mkdirSync(dir);
    const player = new Player(this, story, dir, new World());
    try {
      await player.play();
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }

  /** A folder for a story whose processes are its own. */
  place(): { dir: string; backend: string; journal: string } {
    const dir = join(this.dir, `story-${++this.stories}`);
    mkdirSync(join(dir, "disk-0"), { recursive: true });
    return { dir, backend: pathToFileURL(join(dir, "disk-0")).href, journal: join(dir, "journal") };
  }

  /**
   * Looks at what a killed process has left, and puts it right for a program.
   * @returns how many operations were pending
   * @throws with all that was wrong
   */
  async goOn(model: Model, world: World, dir: string, tidy: boolean): Promise<{ pending: number }> {
    const story: Story = { entries: [], fresh: [], chapters: [], tidy, refreshed: false };
    try {
      return await new Player(this, story, dir, world).goOn(model);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }

  close(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

interface Outcome {
  /** Undefined: killed. */
  result: UpdateResult | undefined;
  /** `create urn:…`, sorted. */
  plan: string[];
  machine: Machine;
}

class Player {
  readonly #stage: Stage;
  readonly #story: Story;
  readonly #dir: string;
  readonly #world: World;
  readonly #watch: Watch;
  readonly #log: string[] = [];
  #model: Model;
  #fresh = 0;
  #disks = 0;
  #history = 0;
  #disk: Disk;

  constructor(stage: Stage, story: Story, dir: string, world: World) {
    this.#stage = stage;
    this.#world = world;
    this.#watch = new Watch(world);
    this.#story = story;
    this.#dir = dir;
    this.#model = planted(story.entries);
    this.#fresh = story.entries.length;
    this.#disk = this.#mount(join(dir, "disk-0"), new Machine([], undefined, 0));
  }

  async play(): Promise<void> {
    for (const chapter of this.#story.chapters) {
      for (const change of chapter.changes) this.#model = changed(this.#model, change, () => this.#freshEntry());
      for (const { kind, at } of chapter.drift) this.#drift(kind, at);
      await this.#run(chapter);
    }
    await this.#putRight();
  }

  async goOn(model: Model): Promise<{ pending: number }> {
    this.#model = model;
    const { saved } = this.#disk;
    const pending = operationsOf(saved);
    for (const { type, resource } of pending) if (type === "deleting") this.#watch.lost.add(resource.id ?? "");
    this.#watch.disk = this.#disk;
    if (saved !== undefined) this.#watch.saved(saved, this.#disk.text() ?? "");
    this.#history = this.#disk.files(/history\/.*\.history\.json$/).length;
    this.#verdict();
    await this.#putRight();
    return { pending: pending.length };
  }

  /** However it went: one clean run makes the world what the program says, another does nothing, and all can be removed. */
  async #putRight(): Promise<void> {
    this.#unprotect();
    if (this.#story.tidy || this.#doubtfulSolos().length > 0) {
      for (const object of this.#doubtful()) this.#world.remove(object);
    }
    if (this.#needsRefresh() || this.#story.refreshed) {
      await this.#clean("refresh");
      if (operationsOf(this.#disk.saved).length > 0) this.#watch.note("operations are pending after a refresh");
    }
    const planned = await this.#clean("preview");
    const done = await this.#clean("up");
    this.#comparePlans(planned, done);
    this.#checkWorld();
    const text = this.#disk.text();
    for (const operation of this.#story.refreshed ? (["refresh", "up"] as const) : (["up"] as const)) {
      const changes = [...this.#world.objects.values()].map(
        (object) => `${object.id} ${object.alive} ${object.updates}`,
      );
      const again = await this.#clean(operation);
      const quiet = operation === "refresh" ? ["same", "refresh"] : ["same"];
      const acts = again.plan.filter((step) => !quiet.includes(step.split(" ", 1)[0] ?? ""));
      if (acts.length > 0) this.#watch.note(`after a clean up it still does something: ${acts.join(", ")}`);
      const after = [...this.#world.objects.values()].map((object) => `${object.id} ${object.alive} ${object.updates}`);
      if (String(after) !== String(changes)) this.#watch.note("after a clean up it still changes the world");
      if (
        withoutTime(this.#disk.text()) !== withoutTime(text) &&
        operationsOf(JSON.parse(text ?? "{}").checkpoint?.latest).length === 0
      ) {
        this.#watch.note(`a run without changes changes the state: ${difference(text ?? "", this.#disk.text() ?? "")}`);
      }
      this.#verdict();
    }
    await this.#clean("destroy");
    const left = resourcesOf(this.#disk.saved);
    if (left.length > 0) this.#watch.note(`after a destroy the state holds ${left.map(({ urn }) => urn).join(", ")}`);
    this.#checkLeft();
    this.#verdict();
  }

  async #clean(operation: Operation): Promise<Outcome> {
    return this.#run({ ...QUIET, operation });
  }

  async #run(chapter: Chapter): Promise<Outcome> {
    this.#stage.runs++;
    const { operation } = chapter;
    const machine = new Machine(chapter.faults, operation === "preview" ? undefined : chapter.cut, chapter.seed);
    this.#disk.unmount();
    const disk = this.#mount(this.#disk.dir, machine);
    const registrations = registrationsOf(this.#model);
    const watch = this.#watch;
    watch.begin(operation, disk, machine, registrations);
    const mayFail = this.#mayFail();
    const before = operation === "preview" ? disk.listing() : "";
    const pendingBefore = new Set(operationsOf(disk.saved).map(({ resource }) => uidOf(resource)));
    const wasLocked = disk.heldLocks() > 0;
    const plan: string[] = [];
    const key = disk.dir;
    const unwatch = watchProgram(key, {
      get dead() {
        return machine.dead;
      },
      registered: (one, urn, id) => {
        if (urn !== one.urn) watch.note(`${one.urn} was answered as ${urn}`);
        const there =
          operation === "preview" || !isObject(one) || resourcesOf(disk.saved).some((saved) => saved.id === id);
        if (!there) watch.note(`${one.urn} was answered before its state was saved`);
      },
      done: (complete) => {
        machine.programDone = complete;
      },
    });
    const options: EngineOptions = {
      projectDir: this.#stage.dir,
      stack: STACK,
      backend: pathToFileURL(disk.dir).href,
      passphrase: async () => "correct-horse",
      config: { program: JSON.stringify({ registrations, fault: chapter.programFault }), [RUN_KEY]: key },
      parallel: chapter.parallel,
      providers: this.#world.providers(machine, watch),
      signal: machine.abort.signal,
      killSignal: machine.killer.signal,
      onEvent: ({ resourcePreEvent }) => {
        if (resourcePreEvent !== undefined)
          plan.push(`${resourcePreEvent.metadata.op} ${resourcePreEvent.metadata.urn}`);
      },
    };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), RUN_DEADLINE_MS);
    });
    const running = OPERATIONS[operation](options).catch((error: unknown) => error as Error);
    const ended = await Promise.race([running, machine.died, late]);
    clearTimeout(timer);
    unwatch();
    const how =
      ended === "late" || ended === undefined || ended instanceof Error ? String(ended ?? "killed") : ended.result;
    this.#log.push(`${operation} ${JSON.stringify(chapter.cut ?? "")} -> ${how} [${machine.fired.join(", ")}]`);
    if (ended === "late") watch.note(`it has not ended after ${RUN_DEADLINE_MS / 1000} s`);
    else if (ended instanceof Error) watch.note(`it threw: ${ended.stack}`);
    if (ended === undefined || ended === "late") {
      this.#afterKill(machine);
      this.#verdict();
      return { result: undefined, plan, machine };
    }
    if (ended instanceof Error) {
      this.#verdict();
      throw ended;
    }
    const words = ended.diagnostics.map(({ message }) => message).join("\n");
    if (wasLocked && operation !== "preview" && !words.includes("Cleared the lock")) {
      watch.note("a dead process's lock was cleared without a word");
    }
    const injected = machine.fired.filter((what) => what !== "interrupt" && what !== "cut-off");
    if (injected.length > 0 && ended.result === "succeeded") watch.note(`it succeeded in spite of ${injected}`);
    const quiet = machine.fired.length === 0 && chapter.programFault === undefined;
    if (quiet && !mayFail && ended.result !== "succeeded") watch.note(`it ${ended.result} for no reason: ${words}`);
    const waiting = resourcesOf(disk.saved).filter((resource) => resource.delete || resource.pendingReplacement);
    if (operation === "up" && ended.result === "succeeded" && waiting.length > 0) {
      watch.note(`it succeeded, and left ${waiting.map(({ urn }) => urn).join(", ")} to be deleted`);
    }
    if (operation === "preview" && disk.listing() !== before) watch.note("a preview has changed the files");
    if (operation !== "preview") this.#afterEnd(machine, pendingBefore);
    this.#verdict();
    return { result: ended, plan: plan.sort(), machine };
  }

  /** What must hold when a run has ended by itself. */
  #afterEnd(machine: Machine, pendingBefore: Set<number | undefined>): void {
    const disk = this.#disk;
    const watch = this.#watch;
    if (disk.heldLocks() > 0) watch.note("the lock is not given back");
    const strays = disk.files(/(stacks|history|backups)\/.*\.tmp$/);
    if (strays.length > 0) watch.note(`half-written files lie about: ${strays.join(", ")}`);
    const cutOff = machine.fired.includes("cut-off");
    for (const { type, resource } of operationsOf(disk.saved)) {
      if (type === "deleting") watch.lost.add(resource.id ?? "");
      if (!cutOff && !(type === "creating" && pendingBefore.has(uidOf(resource)))) {
        watch.note(`${type} ${resource.urn} is pending after the end`);
      }
    }
    const histories = disk.files(/history\/.*\.history\.json$/).length;
    if (histories !== this.#history + 1) watch.note(`the history has ${histories} entries, not ${this.#history + 1}`);
    this.#history = histories;
    const bak = `${disk.stateFile}.bak`;
    if (existsSync(bak)) JSON.parse(readFileSync(bak, "utf8"));
  }

  /** The disk as it was at the moment of the kill, for the next process. */
  #afterKill(machine: Machine): void {
    this.#stage.kills++;
    machine.dead = true;
    closeMonitors();
    for (const { type, resource } of operationsOf(this.#disk.saved)) {
      if (type === "deleting") this.#watch.lost.add(resource.id ?? "");
    }
    const next = join(this.#dir, `disk-${++this.#disks}`);
    this.#disk.copyTo(next);
    this.#disk = this.#mount(next, new Machine([], undefined, 0));
    this.#history = this.#disk.files(/history\/.*\.history\.json$/).length;
  }

  #mount(dir: string, machine: Machine): Disk {
    this.#disk?.unmount();
    this.#disk = new Disk(dir, machine, (state, text) => this.#watch.saved(state, text));
    return this.#disk;
  }

  #freshEntry(): Entry {
    const { fresh } = this.#story;
    const uid = this.#fresh++;
    const seed = fresh[uid % Math.max(1, fresh.length)];
    return { ...(seed ?? EMPTY), uid };
  }

  #drift(kind: "remove" | "change", at: number): void {
    const alive = this.#world.alive().filter((object) => !this.#watch.excused.has(object.id));
    const object = alive[at % Math.max(1, alive.length)];
    if (object === undefined) return;
    this.#watch.lost.add(object.id);
    if (kind === "remove") this.#world.remove(object);
    else object.inputs = { ...object.inputs, n: 1000 + at };
  }

  /** As `pulumi state unprotect` does, and the program too. */
  #unprotect(): void {
    this.#model = { ...this.#model, entries: this.#model.entries.map((entry) => ({ ...entry, protect: undefined })) };
    const text = this.#disk.text();
    if (text === undefined) return;
    const file = JSON.parse(text);
    for (const resource of file.checkpoint.latest.resources ?? []) delete resource.protect;
    writeFileSync(this.#disk.stateFile, JSON.stringify(file));
  }

  /** What an interrupted create has made, and the state does not know. */
  #doubtful() {
    const ids = new Set(resourcesOf(this.#disk.saved).map(({ id }) => id));
    const retained = (id: string) => this.#watch.excused.has(id) && !this.#watch.forgiven.has(id);
    return this.#world.alive().filter((object) => !ids.has(object.id) && !retained(object.id));
  }

  #doubtfulSolos() {
    return this.#doubtful().filter((object) => String(plain(object.inputs.handle)).startsWith("solo-"));
  }

  #needsRefresh(): boolean {
    return resourcesOf(this.#disk.saved).some(({ id }) => this.#watch.lost.has(id ?? ""));
  }

  #mayFail(): boolean {
    const isProtected = (one: { protect?: boolean }): boolean => one.protect === true;
    const inProgram = this.#model.entries.some(isProtected);
    return (
      inProgram ||
      resourcesOf(this.#disk.saved).some(isProtected) ||
      this.#needsRefresh() ||
      this.#doubtfulSolos().length > 0
    );
  }

  /** A preview says what will be done; where it could not know a value yet, it may have said more. */
  #comparePlans(planned: Outcome, done: Outcome): void {
    const registrations = registrationsOf(this.#model);
    const [said, did] = [opsByUrn(planned.plan), opsByUrn(done.plan)];
    const idle = (urn: string | undefined): boolean => said.get(urn ?? "") === "same";
    for (const urn of new Set([...said.keys(), ...did.keys()])) {
      const [before, after] = [said.get(urn) ?? "nothing", did.get(urn) ?? "nothing"];
      if (before === after) continue;
      const one = registrations.find((registration) => registration.urn === urn);
      // What is not wanted goes, at the end or for the sake of another.
      if (one === undefined && before.includes("delete") && after.includes("delete")) continue;
      // A replacement of a renamed one shows its old name too: its new name tells whether that is right.
      if (registrations.some(({ aliases }) => aliases.includes(urn))) continue;
      const sources = Object.values(one?.inputs ?? {}).flatMap((value) =>
        typeof value === "object" && "from" in value ? [registrations.find(({ uid }) => uid === value.from)?.urn] : [],
      );
      const unsure = sources.some((source) => !idle(source));
      if (!unsure || rank(after) > rank(before)) {
        this.#watch.note(`${urn}: the preview said ${before}, the update did ${after}`);
      }
    }
    this.#verdict();
  }

  /** The world is what the program says, and so is the state. */
  #checkWorld(): void {
    const watch = this.#watch;
    const registrations = registrationsOf(this.#model);
    const saved = resourcesOf(this.#disk.saved);
    const urns = new Map(registrations.map((one) => [one.uid, one.urn]));
    const urnOf = (uid: number): string => urns.get(uid) ?? "";
    const root = saved.find(({ type }) => type === "pulumi:pulumi:Stack")?.urn;
    const objectOf = (one: Registration | undefined) => {
      const resource = saved.find(({ urn }) => urn === one?.urn);
      return this.#world.objects.get(resource?.id ?? "");
    };
    const outputs = (uid: number) => {
      const object = objectOf(registrations.find((one) => one.uid === uid));
      return object && this.#world.outputsOf(object);
    };
    const mine = new Set<string>();
    for (const one of registrations) {
      const own = saved.filter(({ urn }) => urn === one.urn);
      const [resource] = own;
      if (resource === undefined || own.length > 1) {
        watch.note(`${one.urn} is in the state ${own.length} times`);
        continue;
      }
      if (resource.delete || resource.pendingReplacement || resource.initErrors) watch.note(`${one.urn} is not well`);
      if (resource.parent !== (one.parent === undefined ? root : urnOf(one.parent)))
        watch.note(`${one.urn} has the parent ${resource.parent}`);
      const leans = new Set(one.dependsOn.map(urnOf));
      for (const value of Object.values(one.inputs))
        if (typeof value === "object" && "from" in value) leans.add(urnOf(value.from));
      if (String([...leans].sort()) !== String([...(resource.dependencies ?? [])].sort())) {
        watch.note(`${one.urn} leans on ${resource.dependencies}, not ${[...leans]}`);
      }
      if (!isObject(one)) continue;
      if (one.additionalSecretOutputs.some((key) => typeof resource.outputs?.[key] === "string")) {
        watch.note(`${one.urn} has an output in clear that the program says is a secret`);
      }
      const object = objectOf(one);
      if (!object?.alive || object.sick) {
        watch.note(`${one.urn} is ${object?.alive ? "sick" : "not there"}`);
        continue;
      }
      mine.add(object.id);
      const expected = expectedInputs(one, outputs);
      for (const key of new Set([...Object.keys(expected), ...Object.keys(object.inputs)])) {
        if (key === "handle" || key === "plain" || one.ignoreChanges.includes(key)) continue;
        const [wanted, is] = [expected[key] ?? null, plain(object.inputs[key]) ?? null];
        if (!equalValues(wanted, is)) watch.note(`${one.urn}: ${key} is ${String(is)}, not ${String(wanted)}`);
      }
    }
    for (const { urn, type } of saved) {
      if (![...urns.values()].includes(urn) && !type.startsWith("pulumi:"))
        watch.note(`${urn} is in the state, but not in the program`);
    }
    for (const object of this.#world.alive()) {
      if (!mine.has(object.id) && !watch.excused.has(object.id) && !this.#doubtful().includes(object)) {
        watch.note(`${object.id} exists, but not in the program`);
      }
    }
    this.#verdict();
  }

  /** After a destroy: nothing is left but what was to be kept, and what only a human can judge. */
  #checkLeft(): void {
    const pending = new Set(operationsOf(this.#disk.saved).map(({ resource }) => uidOf(resource)));
    for (const object of this.#world.alive()) {
      if (!this.#watch.excused.has(object.id) && !pending.has(object.uid))
        this.#watch.note(`${object.id} outlives the destroy`);
    }
  }

  #verdict(): void {
    if (this.#watch.wrong.length === 0) return;
    throw new Error(`${[...new Set(this.#watch.wrong)].slice(0, 8).join("\n")}\nRuns:\n  ${this.#log.join("\n  ")}`);
  }
}

/** Where two texts that should be the same, but for their time, first differ. */
function difference(a: string, b: string): string {
  const [before, after] = [withoutTime(a) ?? "", withoutTime(b) ?? ""];
  let at = 0;
  while (at < before.length && before[at] === after[at]) at++;
  const from = Math.max(0, at - 150);
  return `…${before.slice(from, at + 150)}… became …${after.slice(from, at + 150)}…`;
}

/** What can become less than was said: a replacement an update, an update nothing. */
function rank(ops: string): number {
  const parts = ops.split("+");
  return ["same", "update", "replace"].findIndex((op) => parts.includes(op)) + 1 || 4;
}

function opsByUrn(plan: string[]): Map<string, string> {
  const ops = new Map<string, string>();
  for (const step of plan) {
    const at = step.indexOf(" ");
    const urn = step.slice(at + 1);
    ops.set(urn, [...(ops.get(urn)?.split("+") ?? []), step.slice(0, at)].sort().join("+"));
  }
  return ops;
}

function withoutTime(text: string | undefined): string | undefined {
  return text?.replace(/"time":"[^"]*"/, "");
}
