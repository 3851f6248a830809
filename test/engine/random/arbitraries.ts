import fc from "fast-check";
import type { Cut, Fault } from "./machine.ts";
import { CHANGES, type Change, type Entry, type Kind } from "./model.ts";
import type { ProgramFault } from "./registrations.ts";
import type { Chapter, Story } from "./story.ts";

/** The value in one of so many cases. */
const rarely = <T>(value: fc.Arbitrary<T>, of = 4): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: of - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

const seldom = rarely(fc.constant(true), 10).map((is) => is ?? false);
const choice = fc.nat(11);

const kind: fc.Arbitrary<Kind> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Kind>("thing") },
  { weight: 3, arbitrary: fc.constant<Kind>("solo") },
  { weight: 2, arbitrary: fc.constant<Kind>("plain") },
  { weight: 2, arbitrary: fc.constant<Kind>("part") },
  { weight: 1, arbitrary: fc.constant<Kind>("provider") },
);

/** An entry whose relations are numbers yet: they become uids when it gets its place. */
export const entry: fc.Arbitrary<Omit<Entry, "uid">> = fc.record({
  kind,
  parent: rarely(choice, 2),
  dependsOn: fc.array(choice, { maxLength: 1 }),
  links: fc.array(
    fc.record({
      to: choice,
      of: fc.constantFrom("id" as const, "out" as const, "hidden" as const),
      hard: fc.boolean(),
    }),
    { maxLength: 2 },
  ),
  inside: rarely(choice),
  provider: rarely(choice, 2),
  n: fc.constant(0),
  fixed: fc.constant(0),
  secret: rarely(fc.constant(0), 2),
  protect: rarely(fc.boolean(), 10),
  retain: rarely(fc.boolean(), 8),
  deleteBeforeReplace: rarely(fc.boolean(), 4),
  ignoreN: seldom,
  replaceOnN: seldom,
  hideOut: seldom,
  renamed: fc.constant(0),
  former: fc.constant([]),
});

export const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom<Change["kind"]>("n", "fixed", "add", "remove") },
    { weight: 2, arbitrary: fc.constantFrom(...CHANGES) },
  ),
  at: choice,
  value: choice,
});

const fault: fc.Arbitrary<Fault> = fc.record({
  on: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<Fault["on"]>("create", "update", "delete") },
    { weight: 1, arbitrary: fc.constantFrom<Fault["on"]>("check", "diff", "read") },
  ),
  nth: fc.nat(5),
  mode: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom<Fault["mode"]>("fail", "half") },
    { weight: 1, arbitrary: fc.constantFrom<Fault["mode"]>("hang", "late", "leak") },
  ),
});

const cut: fc.Arbitrary<Cut> = fc.record({
  how: fc.oneof(
    { weight: 5, arbitrary: fc.constant<Cut["how"]>("kill") },
    { weight: 1, arbitrary: fc.constantFrom<Cut["how"]>("interrupt", "cut-off") },
  ),
  tick: fc.nat(70),
  torn: fc.nat(2),
});

const programFault: fc.Arbitrary<ProgramFault> = fc.record({
  kind: fc.constantFrom("throws" as const, "exits" as const),
  after: fc.nat(8),
});

const chapter: fc.Arbitrary<Chapter> = fc.record({
  changes: fc.array(change, { maxLength: 4 }),
  drift: fc.oneof(
    { weight: 6, arbitrary: fc.constant<Chapter["drift"]>([]) },
    {
      weight: 1,
      arbitrary: fc.array(fc.record({ kind: fc.constantFrom<"remove" | "change">("remove", "change"), at: choice }), {
        maxLength: 2,
      }),
    },
  ),
  operation: fc.oneof(
    { weight: 8, arbitrary: fc.constant<Chapter["operation"]>("up") },
    { weight: 1, arbitrary: fc.constantFrom<Chapter["operation"]>("destroy", "refresh", "preview") },
  ),
  faults: fc.array(fault, { maxLength: 2 }),
  cut: rarely(cut, 2),
  programFault: rarely(programFault, 10),
  parallel: fc.constantFrom(16, 1, 2, 4),
  seed: fc.nat(),
});

export const story: fc.Arbitrary<Story> = fc.record({
  entries: fc.array(entry, { minLength: 1, maxLength: 8 }),
  fresh: fc.array(entry, { minLength: 1, maxLength: 2 }),
  chapters: fc.array(chapter, { minLength: 1, maxLength: 4 }),
  tidy: fc.boolean(),
  refreshed: fc.boolean(),
});
