import { describe, expect, it } from "vitest";
import { PassphraseSecrets, WrongPassphrase } from "../../../engine/src/secrets.ts";
import { Secret } from "../../../engine/src/values.ts";
import { GOLDEN_PASSPHRASE, goldenText } from "./golden.ts";

/** Of pkg/secrets/passphrase/manager_test.go: this salt opens with this passphrase. */
const VECTOR = { salt: "v1:fozI5u6B030=:v1:F+6ZduKKd8G0/V7L:PGMFeIzwobWRKmEAzUdaQHqC5mMRIQ==", passphrase: "password" };

describe("passphrase secrets", () => {
  it("refuse a wrong passphrase, without saying it", async () => {
    const error = await PassphraseSecrets.open("not-it-at-all", VECTOR.salt).catch((e: Error) => e);
    expect(error).toBeInstanceOf(WrongPassphrase);
    expect((error as Error).message).toMatch(/does not open.*PULUMI_CONFIG_PASSPHRASE/);
    expect((error as Error).message).not.toContain("not-it-at-all");
  });

  it("refuse a salt that is malformed or of another version", async () => {
    await expect(PassphraseSecrets.open("x", "v1:abc")).rejects.toThrow(/malformed/);
    await expect(PassphraseSecrets.open("x", "v2:a:v1:b:c")).rejects.toThrow(/version "v2"/);
  });

  it("open Pulumi's own vector", async () => {
    const secrets = await PassphraseSecrets.open(VECTOR.passphrase, VECTOR.salt);
    expect(secrets.salt).toBe(VECTOR.salt);
    expect(secrets.decryptValue(VECTOR.salt.split(":").slice(2).join(":"))).toBe("pulumi");
  });

  it("open the setting that the official CLI encrypted", async () => {
    const settings = goldenText("Pulumi.gold.yaml");
    const secrets = await PassphraseSecrets.open(GOLDEN_PASSPHRASE, /encryptionsalt: (.*)/.exec(settings)![1]!);
    expect(secrets.decryptConfig(/secure: (.*)/.exec(settings)![1]!)).toBe("p@ss:wörd");
  });

  it("made anew open with their passphrase only, and nothing else of theirs is damaged silently", async () => {
    const secrets = await PassphraseSecrets.create("correct");
    const again = await PassphraseSecrets.open("correct", secrets.salt);
    const ciphertext = secrets.encryptValue('"grüße"');
    expect(ciphertext).toMatch(/^v1:[A-Za-z0-9+/=]{16}:[A-Za-z0-9+/=]+$/);
    expect(again.decryptValue(ciphertext)).toBe('"grüße"');
    expect(again.decryptConfig(secrets.encryptConfig("plain"))).toBe("plain");

    expect(() => again.decryptValue(ciphertext.slice(0, -8))).toThrow(/does not decrypt/);
    expect(() => again.decryptValue("v1:AAAA:BBBB")).toThrow(/cut short/);
    expect(() => again.decryptValue("nonsense")).toThrow(/malformed/);
    const other = await PassphraseSecrets.create("correct");
    expect(() => other.decryptValue(ciphertext)).toThrow(/encrypted for another stack/);
  });

  it("give an unchanged value its ciphertext again, and no two places the same", async () => {
    const secrets = await PassphraseSecrets.create("x");
    const [first, second] = [new Secret("a"), new Secret("a")];
    const ciphertext = secrets.encryptValue('"a"', { secret: first, path: "urn#inputs.k" });
    expect(secrets.encryptValue('"a"', { secret: first })).toBe(ciphertext);
    expect(secrets.encryptValue('"a"', { secret: second, path: "urn#inputs.k" })).toBe(ciphertext);
    expect(secrets.encryptValue('"b"', { secret: second, path: "urn#inputs.k" })).not.toBe(ciphertext);
    expect(secrets.encryptValue('"a"', { secret: new Secret("a"), path: "urn#outputs.k" })).not.toBe(ciphertext);
  });
});
