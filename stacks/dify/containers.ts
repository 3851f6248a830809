import * as pulumi from "@pulumi/pulumi";
import type { DifyArgs } from "../dify.ts";
import type { DifyPlace } from "./place.ts";

export function difyOfContainers(_args: DifyArgs, _parent: pulumi.Resource): DifyPlace {
  throw new pulumi.RunError("atelier:dify: Dify's containers are not made yet; name an existing one (dify.url).");
}
