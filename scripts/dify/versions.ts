/** The versions of Dify that this wiring was tried on; another one is refused, for its console's API is not a public one. */
export const testedVersions: readonly string[] = ["1.14.2"];
