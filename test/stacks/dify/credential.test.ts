import { expect, test } from "vitest";
import { credentialName } from "../../../stacks/dify/credential.ts";

test("a credential has its stack's name, and never another stack's", () => {
  expect(credentialName("mybox")).toBe("atelier-mybox");
  // Thirty letters are what Dify takes.
  expect(credentialName("studio-berlin-producti")).toBe("atelier-studio-berlin-producti");
  const long = ["a", "b"].map((end) => credentialName(`studio-berlin-production-${end}`));
  expect(long).toEqual([
    expect.stringMatching(/^atelier-studio-berlin-p-[0-9a-f]{6}$/),
    expect.stringMatching(/^atelier-studio-berlin-p-[0-9a-f]{6}$/),
  ]);
  expect(long[0]).not.toBe(long[1]);
  expect(long.map(({ length }) => length)).toEqual([30, 30]);
  expect(credentialName("mybox", "0123abcd")).toBe("atelier-mybox-0123abcd");
  expect(credentialName("studio-berlin-production", "0123abcd")).toBe("atelier-studio-berlin-0123abcd");
  // Cut at a dash.
  expect(credentialName("a-stack-with-a-long-name", "0123abcd")).toBe("atelier-a-stack-with-0123abcd");
});
