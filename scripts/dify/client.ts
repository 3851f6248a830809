import { DifyError, sentence } from "./errors.ts";
import { type Answer, type FormData, type Method, send } from "./http.ts";
import { Masker } from "./masker.ts";
import { testedVersions } from "./versions.ts";

/** Login of the admin of a Dify. */
export interface Login {
  url: string;
  email: string;
  password: string;
}

export interface Call {
  json?: unknown;
  form?: FormData;
  /** @default 60: a plugin that starts on a busy machine keeps a read waiting for half a minute */
  seconds?: number;
  /** What to do when it is refused; the last sentence of the error. */
  mend?: string;
}

/** Dify's console by HTTP, as its own web pages use it. Every error names the call and what came back, without secrets. */
export class Console {
  readonly url: string;
  readonly masker: Masker;
  readonly #login: Login;
  #cookies = new Map<string, string>();

  constructor(login: Login, masker = new Masker()) {
    this.#login = login;
    this.url = login.url.replace(/\/+$/, "");
    this.masker = masker;
    masker.add(login.password);
  }

  /**
   * Logs in, once: six wrong passwords lock an account for a day.
   * @throws DifyError for a wrong login, a Dify without an admin, a version that was not tested
   */
  async login(): Promise<void> {
    const { email, password } = this.#login;
    // Before a password is sent anywhere.
    const before = await this.#send("GET", "/setup", {});
    refuseOther(before, this.url);
    const answer = await this.#send("POST", "/login", {
      // The console's own "encryption" of a password is base64; plain text is refused.
      json: { email, password: Buffer.from(password).toString("base64"), language: "en-US", remember_me: true },
    });
    if (answer.status !== 200) throw this.#refusal("POST", "/login", answer, loginMend(answer, email));
    this.#take(answer);
    if (!this.#cookie("access_token") || !this.#cookie("csrf_token"))
      throw new DifyError(`POST ${pathOf("/login")} at ${this.url} answered 200 without the cookies of a login.`);
  }

  get = <T>(path: string, call?: Call): Promise<T> => this.call("GET", path, call);
  post = <T>(path: string, json: unknown = {}, call?: Call): Promise<T> => this.call("POST", path, { json, ...call });
  put = <T>(path: string, json: unknown, call?: Call): Promise<T> => this.call("PUT", path, { json, ...call });
  delete = (path: string, json?: unknown): Promise<unknown> => this.call("DELETE", path, { json });

  /**
   * One call as the admin.
   * @param path below `/console/api`
   * @returns the answer's JSON; undefined for an empty one
   * @throws DifyError for any status but 2xx
   */
  async call<T>(method: Method, path: string, call: Call = {}): Promise<T> {
    let answer = await this.#send(method, path, call);
    // A token lives for an hour, and a login can be older than that.
    if (answer.status === 401 && (await this.#refresh())) answer = await this.#send(method, path, call);
    // nginx says these for a moment while the API starts again; only what changes nothing is asked once more.
    for (let tries = 0; method === "GET" && [502, 503, 504].includes(answer.status) && tries < 3; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      answer = await this.#send(method, path, call);
    }
    if (answer.status < 200 || answer.status > 299) throw this.#refusal(method, path, answer, call.mend);
    return parse(answer.text) as T;
  }

  /** A call that needs no login; its answer whatever it is. */
  open(method: Method, path: string, call: Call = {}): Promise<Answer> {
    return this.#send(method, path, call);
  }

  /** The error for an answer of `open`. */
  refusal(method: Method, path: string, answer: Answer, mend?: string): DifyError {
    return this.#refusal(method, path, answer, mend);
  }

  /** Keeps the cookies of an answer, as a browser would. */
  keep(answer: Answer): void {
    this.#take(answer);
  }

  async #refresh(): Promise<boolean> {
    if (!this.#cookie("refresh_token")) return false;
    const answer = await this.#send("POST", "/refresh-token", {});
    if (answer.status !== 200) return false;
    this.#take(answer);
    return true;
  }

  async #send(method: Method, path: string, { json, form, seconds = 60 }: Call): Promise<Answer> {
    const headers: Record<string, string> = {};
    const csrf = this.#cookie("csrf_token");
    if (csrf) headers["x-csrf-token"] = csrf;
    // By hand: behind https the cookies are called __Host-… and Secure, and no jar would send them to http://127.0.0.1.
    if (this.#cookies.size > 0) headers.cookie = [...this.#cookies].map((pair) => pair.join("=")).join("; ");
    const url = `${this.url}${pathOf(path)}`;
    try {
      return await send({ method, url, headers, json, ...(form ? { form } : {}), seconds });
    } catch (error) {
      throw error instanceof DifyError ? new DifyError(this.masker.mask(error.message), error) : error;
    }
  }

  #take({ cookies }: Answer): void {
    for (const [name, value] of cookies) {
      if (value === "") this.#cookies.delete(name);
      else this.#cookies.set(name, value);
      this.masker.add(value.length > 16 ? value : undefined);
    }
  }

  #cookie(name: string): string | undefined {
    return this.#cookies.get(name) ?? this.#cookies.get(`__Host-${name}`);
  }

  #refusal(method: Method, path: string, { status, text }: Answer, mend?: string): DifyError {
    const { code, said } = words(text);
    const shown = this.masker.mask(said).slice(0, 1500);
    const what = `${method} ${this.masker.mask(pathOf(path))} at ${this.url} answered ${status}${code ? ` ${code}` : ""}`;
    return new DifyError([sentence(`${what}${shown ? `: ${shown}` : ""}`), mend].filter(Boolean).join(" "), {
      status,
      code,
      said: shown,
    });
  }
}

const pathOf = (path: string) => `/console/api${path}`;

/** Dify's two shapes of errors: `{code, message, status}`, and of set-up `{error: {type, message, status}}`. */
function words(text: string): { code: string; said: string } {
  const body = parse(text) as { code?: unknown; message?: unknown; error?: unknown } | undefined;
  // An import that failed says why in `error`.
  if (typeof body?.error === "string" && body.error) return { code: "", said: body.error };
  const { code, type, message } = { ...body, ...(body?.error as object | undefined) } as Record<string, unknown>;
  if (typeof message === "string") return { code: String(code ?? type ?? ""), said: message };
  return {
    code: "",
    said: text
      .replace(/<[^>]*>|\s+/g, " ")
      .trim()
      .slice(0, 300),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function loginMend({ status, text }: Answer, email: string): string {
  const { code } = words(text);
  if (status === 429)
    return `Too many wrong passwords were tried for ${email}: Dify refuses that account for a day (LOGIN_LOCKOUT_DURATION), the right password too. Wait, or clear the limit in Dify's Redis.`;
  if (code === "not_setup" || code === "not_init_validated")
    return "That Dify has no admin yet: open it in a browser and make one, then give its login as dify.email and dify.password.";
  if (status === 401)
    return `It was tried once, and is not tried again: six wrong passwords lock an account for a day. Check dify.email (${email}) and dify.password. One that was changed in Dify's own pages, also of a Dify that \`up\` made, is told by dify.passwordEnv or dify.password (a secret).`;
  return "";
}

/** @throws DifyError for a version that was not tested, and for what is no Dify */
export function refuseOther({ version, status }: Answer, url: string): string {
  if (version === undefined)
    throw new DifyError(
      `${url} answered ${status} without the header X-Version, so it is not Dify's API. Does dify.url lead to Dify itself, and not to a login page or another program?`,
      { status },
    );
  if (!testedVersions.includes(version))
    throw new DifyError(
      `${url} is Dify ${version}; this wiring was tried with ${testedVersions.join(", ")} only, and Dify's console API changes between versions. Nothing was changed. Use a Dify of that version, or leave dify.url out and \`up\` makes one.`,
      { status },
    );
  return version;
}
