import { afterEach, expect, test } from "vitest";
import { Interrupt } from "../../scripts/cli/interrupt.ts";

let interrupt: Interrupt | undefined;
afterEach(() => interrupt?.close());

test("one press that arrives twice, from the terminal and forwarded, stops but does not kill", () => {
  const said: string[] = [];
  interrupt = new Interrupt((text) => said.push(text));
  interrupt.press(1000);
  interrupt.press(1050);
  expect([interrupt.signal.aborted, interrupt.killSignal.aborted]).toEqual([true, false]);
  expect(said).toHaveLength(1);
});

test("a press held for a while stays one", () => {
  interrupt = new Interrupt(() => {});
  for (let now = 0; now < 2000; now += 100) interrupt.press(now);
  expect(interrupt.killSignal.aborted).toBe(false);
});

test("no listener stays behind", () => {
  const before = process.listenerCount("SIGINT");
  new Interrupt(() => {}).close();
  expect(process.listenerCount("SIGINT")).toBe(before);
});
