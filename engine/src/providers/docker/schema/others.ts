import {
  bool,
  labels,
  map,
  NEW,
  NEW_COMPUTED,
  OUTPUT,
  object,
  REQUIRED_NEW,
  type ResourceTable,
  set,
  text,
  textSet,
} from "./fields.ts";

export const network: ResourceTable = {
  meta: '{"schema_version":"1"}',
  deleteBeforeReplace: false,
  fields: {
    attachable: bool(NEW),
    driver: text(NEW_COMPUTED),
    ingress: bool(NEW),
    internal: bool(NEW_COMPUTED),
    ipamConfigs: set({ auxAddress: map(NEW), gateway: text(NEW), ipRange: text(NEW), subnet: text(NEW) }, NEW_COMPUTED),
    ipamDriver: text({ ...NEW, default: "default" }),
    ipamOptions: map(NEW),
    ipv6: bool(NEW),
    labels: set(labels, NEW),
    name: text({ ...NEW, autoname: true }),
    options: map(NEW_COMPUTED),
    scope: text(OUTPUT),
  },
};

export const volume: ResourceTable = {
  meta: '{"schema_version":"1"}',
  deleteBeforeReplace: false,
  fields: {
    cluster: object({}, { ...NEW, refused: "volumes of a swarm cluster are not covered" }),
    driver: text(NEW_COMPUTED),
    driverOpts: map(NEW),
    labels: set(labels, NEW),
    mountpoint: text(OUTPUT),
    name: text({ ...NEW, autoname: true }),
  },
};

export const remoteImage: ResourceTable = {
  meta: '{"e2bfb730-ecaa-11e6-8f88-34363bc7c4c0":{"create":1200000000000,"delete":1200000000000,"update":1200000000000}}',
  deleteBeforeReplace: false,
  fields: {
    build: object({}, { refused: "build images with docker.Image" }),
    forceRemove: bool(),
    imageId: text(OUTPUT),
    keepLocally: bool(),
    name: text(REQUIRED_NEW),
    platform: text(NEW),
    pullTriggers: textSet(NEW),
    repoDigest: text(OUTPUT),
    triggers: map(NEW),
  },
};
