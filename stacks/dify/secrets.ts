import * as pulumi from "@pulumi/pulumi";
import { Password } from "../password.ts";
import { secretLengths } from "./secretLengths.ts";

/** What Dify's compose file has a public default for, and what opens its first login: made for this stack alone. */
export interface DifySecrets {
  /** Of Dify's admin. */
  admin: pulumi.Output<string>;
  /** Whoever has it may become admin of a Dify that has none. */
  init: pulumi.Output<string>;
  /** Signs logins and the links of pictures. */
  secretKey: pulumi.Output<string>;
  db: pulumi.Output<string>;
  redis: pulumi.Output<string>;
  sandbox: pulumi.Output<string>;
  /** What the API shows to the plugin daemon, and the daemon to the API. */
  daemon: pulumi.Output<string>;
  inner: pulumi.Output<string>;
  weaviate: pulumi.Output<string>;
}

/** @param vectorStore whether there is one to have a key */
export function makeSecrets(vectorStore: boolean, opts: pulumi.CustomResourceOptions): DifySecrets {
  const make = (name: keyof typeof secretLengths) => new Password(name, { length: secretLengths[name] }, opts).value;
  return {
    // Dify wants a letter and a digit, whatever chance says.
    admin: make("dify-admin-password").apply((value) => `${value}a1`),
    init: make("dify-init-password"),
    secretKey: make("dify-secret-key"),
    db: make("dify-db-password"),
    redis: make("dify-redis-password"),
    sandbox: make("dify-sandbox-key"),
    daemon: make("dify-daemon-key"),
    inner: make("dify-inner-key"),
    weaviate: vectorStore ? make("dify-weaviate-key") : pulumi.output(""),
  };
}
