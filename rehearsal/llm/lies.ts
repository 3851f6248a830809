/** What the stand-in language model can be told to do wrong, as real ones do. */
export const modelLies = [
  /** Answers in words although it has the tool. */
  "no_tool",
  /** Waits 20 s before the first word. */
  "slow",
  /** A page of HTML with status 200, as portals answer. */
  "garbage",
  /** An answer without a word. */
  "empty",
  /** The tool's arguments are no JSON. */
  "bad_arguments",
  /** 500. */
  "broken",
  /** 429. */
  "busy",
] as const;

export type ModelLie = (typeof modelLies)[number];
