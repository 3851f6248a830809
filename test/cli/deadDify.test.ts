import { afterEach, beforeEach, expect, test } from "vitest";
import { Clone, nowhere } from "./clone.ts";

/** What is made inside of a Dify, of which only the way out is left: it fails, as it does where nobody answers. */
const program = `
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { DifyFacts } from "./dify/facts.ts";
const parent = new pulumi.ComponentResource("atelier:dify:Dify", "dify");
const dify = { url: "http://127.0.0.1:9", email: "a@example.com", password: pulumi.secret("passw0rd-9"), timeout: 10 };
const item = { item: "app", owner: "t/agent", name: "Atelier agent", mode: "agent-chat", dsl: "x", plugins: [], minTokens: 0 };
const items = { "dify-agent": { ...item, tool: { provider: "p", credential: "c" } } };
const facts = new DifyFacts("dify-facts", { dify, own: false, items }, { parent });
new command.local.Command("dify-agent", { create: "true", delete: "exit 1" }, { parent, dependsOn: [facts] });
`;

let clone: Clone;
beforeEach(() => {
  clone = new Clone();
  clone.program(program);
  clone.settings("box", { host: nowhere });
});
afterEach(() => clone.remove());

test("a Dify that is gone for good keeps `down` from its end, until it is left behind: then it says what stays there", async () => {
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await clone.run([...args, "--stack", "box", "--yes"]);
    return { code, said: stdout + stderr };
  };
  expect((await run("up")).said).toMatch(/ECONNREFUSED.*goes on, and waits for it[\s\S]*\+ dify-agent created/);
  const failed = await run("down");
  expect([failed.code, failed.said]).toEqual([
    1,
    expect.stringContaining("If that Dify is gone for good: npx atelier down --stack box --dify-gone leaves it behind"),
  ]);
  expect(failed.said).not.toContain("--host-gone");
  clone.program("export {};");
  const without = await run("up");
  const urn = "'urn:pulumi:box::atelier::atelier:dify:Dify$command:local:Command::dify-setup'";
  expect([without.code, without.said]).toEqual([
    1,
    expect.stringContaining(`npx atelier state delete --stack box ${urn} --target-dependents leaves behind`),
  ]);
  const left = await run("down", "--dify-gone");
  expect(left.said).toMatch(
    /Dify at http:\/\/127\.0\.0\.1:9 is not asked, as --dify-gone says\. What was made there stays, .*the apps `Atelier agent`/,
  );
  expect([left.code, left.said]).toEqual([0, expect.stringContaining("Forgot 1 resource of Dify's")]);
  expect((await run("down")).said).toContain("There was nothing to remove.");
});
