import { expect, test } from "vitest";
import type { DrawnInfo } from "../../healthchecks/answers.ts";
import { checkVersion } from "../../healthchecks/checks/settings.ts";
import type { Session } from "../../healthchecks/session.ts";

const session = (version: string) => ({ input: { version, stand_in: false } }) as Session;
const drawn = (version: string) => ({ version }) as DrawnInfo;

test("another version is caught", () => {
  expect(() => checkVersion(session("v1.10.1"), drawn("v1.9.0"))).toThrow("The WebUI is v1.9.0, installed was v1.10.1");
  expect(() => checkVersion(session("v1.10.1"), drawn("1.10.10"))).toThrow("The WebUI is 1.10.10");
});

test("a checkout without its tag tells the same version without the v", () => {
  expect(checkVersion(session("v1.10.1"), drawn("1.10.1"))).toBe("The WebUI is 1.10.1.");
});
