/**
 * Whether a resource is of what outlives `down` of a box: the volume with its cache, and the key by whose fingerprint the volume is
 * known again.
 */
export const boxOutlivesDown = ({ urn }: { urn: string }): boolean =>
  /::atelier:docker:DockerBox\$[^:]+(:[^:]+)*::(volume|box-host-key)$/.test(urn);

/** The same, of what no engine has: it stays also where the engine is gone. */
export const isBoxKey = ({ urn }: { urn: string }): boolean =>
  boxOutlivesDown({ urn }) && urn.endsWith("::box-host-key");
