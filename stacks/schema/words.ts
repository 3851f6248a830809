import { z } from "zod";

/** Words that several settings are made of. */
export const absolutePath = z
  .string()
  .regex(/^\/[\w./-]+[\w-]$/, "an absolute path of letters, digits, dots, dashes and slashes, such as /root/atelier");

/** Folders of the system, and all below them. */
const whole = /^\/(bin|boot|etc|lib|lib32|lib64|libx32|proc|sbin|sys)\//;
/** Homes, and what the system keeps two folders deep. */
const tops = /^\/(dev|home|run|usr|var)\/[^/]+$/;

/** A folder that is written to and removed from: never a top folder, a home or one of the system's. */
export const ownFolder = absolutePath.refine(
  (path) => !/^\/[^/]+$/.test(path) && !whole.test(path) && !tops.test(path) && !/\/(\.{0,2})\//.test(path),
  "a folder for Atelier of its own, below a disk or a home, such as /root/atelier; no top folder, no home and none of the system's, and without `..`",
);
/** A host's. With a port behind it, or as a whole SSH command, it would be looked for as a name. */
export const hostAddress = z
  .string()
  .regex(
    /^([\w.-]+|[\da-fA-F]*:[\da-fA-F:.]*:[\da-fA-F:.]*)$/,
    "a host name or address alone; port and user have settings of their own",
  );
export const port = z.number().int().min(1).max(65535);
/** Passwords travel in `user:password` and in URLs: A1111 dies of a colon or a comma in them. */
export const word = z.string().regex(/^[\w-]+$/, "letters, digits, `_` and `-` only");
/** `agent: false` is no way to log in. */
export const agent = z
  .boolean()
  .optional()
  .transform((wanted) => wanted || undefined);
export const url = z.url({ protocol: /^https?$/ });
/** Whether an address holds a login. */
export const hasLogin = (address: string): boolean => /^[^/]*\/\/[^/?#]*@/.test(address);
/** Of an upstream or a file: it is shown wherever it is asked. */
export const openUrl = url.refine(
  (value) => !hasLogin(value),
  "an address without a login: settings are kept in git, and addresses are shown",
);
/** Of a site that paths are added to. */
export const siteUrl = openUrl
  .refine((value) => !/[?#]/.test(value), "an address without a query")
  .transform((value) => value.replace(/\/+$/, ""));
export const baseUrl = openUrl.transform((value) => (value.endsWith("/") ? value : `${value}/`));
export const commit = z.string().regex(/^[0-9a-f]{40}$/, "a full commit of 40 hex digits");
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "a sha256 of 64 hex digits");
export const repositoryPath = z.string().regex(/^[\w./-]+$/, "a repository path such as owner/name.git");
