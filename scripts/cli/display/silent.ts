import type { Display } from "./display.ts";

/** Shows nothing: for updates within another command. */
export const silent: Display = { event: () => {}, end: () => {} };
