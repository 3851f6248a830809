/** Knows the secrets of a run, and takes every written form of them out of what is shown. */
export class Masker {
  #forms: string[] = [];

  /** Short words are found everywhere: less than four characters give nothing away by themselves. */
  add(...secrets: (string | undefined)[]): void {
    const forms = secrets
      .filter((secret) => secret !== undefined && secret.length >= 4)
      .flatMap((secret) => written(secret as string));
    this.#forms = [...new Set([...this.#forms, ...forms])].sort((a, b) => b.length - a.length);
  }

  readonly mask = (text: string): string => this.#forms.reduce((masked, form) => masked.replaceAll(form, "***"), text);
}

/** As it is, as JSON, JSON within JSON (Dify quotes its plugins' answers), base64 and a URL have it. */
function written(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  return [
    secret,
    json,
    JSON.stringify(json).slice(1, -1),
    Buffer.from(secret).toString("base64"),
    encodeURIComponent(secret),
    userInfo(secret),
  ];
}

/** Text as it may stand before the `@` of a URL: what encodeURIComponent leaves and a login must not have goes too. */
export const userInfo = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
