import { PATIENCE_MS, until } from "../../helpers/until.ts";

/** A client with a cookie jar, as a browser at Dify's console. */
export class Client {
  readonly url: string;
  readonly cookies = new Map<string, string>();

  constructor(url: string) {
    this.url = url;
  }

  async call(
    method: string,
    path: string,
    options: { json?: unknown; form?: FormData; headers?: Record<string, string> } = {},
  ): Promise<{ status: number; body: unknown; cookies: string[]; headers: Headers }> {
    const jar = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(jar && { Cookie: jar }),
        ...(options.json !== undefined && { "Content-Type": "application/json" }),
        ...options.headers,
      },
      body: options.form ?? (options.json === undefined ? undefined : JSON.stringify(options.json)),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const cookies = response.headers.getSetCookie();
    for (const cookie of cookies) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      this.cookies.set(name, value);
    }
    const text = await response.text();
    const json = response.headers.get("content-type")?.startsWith("application/json") && text !== "";
    return { status: response.status, body: json ? JSON.parse(text) : text, cookies, headers: response.headers };
  }

  /** A call of the console, with its CSRF token. @throws unless it is answered with 2xx */
  // biome-ignore lint/suspicious/noExplicitAny: what the server answers is what the tests are about
  async console(method: string, path: string, json?: unknown): Promise<any> {
    const headers = { "X-CSRF-Token": this.cookies.get("csrf_token") ?? "" };
    const { status, body } = await this.call(method, `/console/api${path}`, { json, headers });
    if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${JSON.stringify(body)}`);
    return body;
  }

  async setUp(options: { initPassword?: string; email?: string; password?: string } = {}): Promise<this> {
    const { email = "admin@example.com", password = "Passw0rd-h2", initPassword } = options;
    if (initPassword) await this.call("POST", "/console/api/init", { json: { password: initPassword } });
    await this.call("POST", "/console/api/setup", { json: { email, name: "admin", password, language: "en-US" } });
    return this.logIn(email, password);
  }

  async logIn(email = "admin@example.com", password = "Passw0rd-h2"): Promise<this> {
    const json = { email, password: Buffer.from(password).toString("base64"), remember_me: true };
    const { status, body } = await this.call("POST", "/console/api/login", { json });
    if (status !== 200) throw new Error(`login answered ${status}: ${JSON.stringify(body)}`);
    return this;
  }

  /** Uploads a package; gives its identifier. */
  async upload(bytes: Uint8Array): Promise<string> {
    const headers = { "X-CSRF-Token": this.cookies.get("csrf_token") ?? "" };
    const { body } = await this.call("POST", "/console/api/workspaces/current/plugin/upload/pkg", {
      form: packageForm(bytes),
      headers,
    });
    return (body as { unique_identifier: string }).unique_identifier;
  }

  /** Waits until a package is installed: Dify settles what is on its way when it is asked. */
  async installed(id: string): Promise<void> {
    await until(`${id} is installed`, async () =>
      (await this.console("GET", "/workspaces/current/plugin/list")).plugins.some(
        ({ plugin_unique_identifier }: { plugin_unique_identifier: string }) => plugin_unique_identifier === id,
      ),
    );
  }

  /** Uploads and installs a package; gives its identifier. */
  async install(bytes: Uint8Array): Promise<string> {
    const id = await this.upload(bytes);
    await this.console("POST", "/workspaces/current/plugin/install/pkg", { plugin_unique_identifiers: [id] });
    return id;
  }
}

export function packageForm(bytes: Uint8Array): FormData {
  const form = new FormData();
  form.append("pkg", new Blob([bytes as Uint8Array<ArrayBuffer>]), "plugin.difypkg");
  return form;
}

/** Reads a stream of events until its end, an event that ends it, or the time is over. */
export async function events(
  url: string,
  key: string,
  json: unknown,
  options: { until?: string; ms?: number } = {},
  // biome-ignore lint/suspicious/noExplicitAny: what the server answers is what the tests are about
): Promise<any[]> {
  // biome-ignore lint/suspicious/noExplicitAny: the same
  const found: any[] = [];
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), options.ms ?? PATIENCE_MS);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify(json),
      signal: abort.signal,
    });
    if (response.status !== 200 || !response.body)
      throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
    let text = "";
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      text += part;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        found.push(line.startsWith("data: ") ? JSON.parse(line.slice(6)) : { event: line });
        if (found.at(-1).event === options.until) return found;
      }
    }
    return found;
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    return [...found, { event: "(still open)" }];
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}
