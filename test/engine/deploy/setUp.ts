import { FakeProvider } from "./fakeProvider.ts";
import { type Outcome, spec, Workspace } from "./workspace.ts";

/** A fresh project of the program `spec.ts` with a fake provider; `run` takes the resources to register. */
export function setUp() {
  const fake = new FakeProvider();
  const work = new Workspace("spec.ts");
  const run = (kind: "preview" | "up" | "refresh" | "destroy", ...entries: object[]): Promise<Outcome> =>
    work.run(kind, { providers: fake.providers, ...spec(...entries) });
  return { fake, work, run };
}
