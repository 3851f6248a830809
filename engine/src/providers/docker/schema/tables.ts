import { container } from "./container.ts";
import type { ResourceTable } from "./fields.ts";
import { network, remoteImage, volume } from "./others.ts";

/** The resource types that follow a table of fields, by token. Image has rules of its own (`image/`). */
export const tables: Readonly<Record<string, ResourceTable>> = {
  "docker:index/container:Container": container,
  "docker:index/network:Network": network,
  "docker:index/remoteImage:RemoteImage": remoteImage,
  "docker:index/volume:Volume": volume,
};
