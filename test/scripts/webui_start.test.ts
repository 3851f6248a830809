import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const starter = resolve(import.meta.dirname, "..", "..", "scripts", "host", "webui_start.py");
const login = "atelier:s3cret_word";
let workspace: string;

/** A workspace whose WebUI is `launch_utils`: it has the two modules that the starter speaks to, and nothing else. */
beforeEach(() => {
  workspace = mkdtempSync(join(tmpdir(), "atelier-start-"));
  const modules = join(workspace, "src", "webui", "modules");
  mkdirSync(modules, { recursive: true });
  mkdirSync(join(workspace, "bin"));
  mkdirSync(join(workspace, "data"));
  cpSync(starter, join(workspace, "bin", "webui_start.py"));
  writeFileSync(join(modules, "__init__.py"), "");
  writeFileSync(
    join(modules, "shared_cmd_options.py"),
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('--port')\np.add_argument('--api', action='store_true')\np.add_argument('--data-dir')\ncmd_opts = p.parse_args()\n",
  );
  launchUtils("print('started')");
  writeFileSync(join(workspace, "data", "credentials"), `${login}\n`, { mode: 0o600 });
});
afterEach(() => rmSync(workspace, { recursive: true, force: true }));

function launchUtils(body: string) {
  const indented = body.replaceAll(/^/gm, "    ");
  writeFileSync(join(workspace, "src", "webui", "modules", "launch_utils.py"), `def start():\n${indented}\n`);
}

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
  seconds: number;
}

function run(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  const began = performance.now();
  const child = spawn("python3", [join(workspace, "bin", "webui_start.py"), ...args], {
    env: { PATH: process.env.PATH, ATELIER_CREDENTIALS: join(workspace, "data", "credentials"), ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 240_000,
  });
  const text = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (text.stdout += chunk));
  child.stderr.on("data", (chunk) => (text.stderr += chunk));
  return new Promise((done) =>
    child.on("close", (code) => done({ code, ...text, seconds: (performance.now() - began) / 1000 })),
  );
}

test.each([
  ["no file named", () => {}, "", "ATELIER_CREDENTIALS is not set"],
  ["no such file", () => rmSync(join(workspace, "data", "credentials")), undefined, "can't be read (No such file"],
  [
    "a file that others can read",
    () => chmodSync(join(workspace, "data", "credentials"), 0o644),
    undefined,
    "mode 0644",
  ],
  ["a colon in the password", () => credentials("atelier:a:b"), undefined, "not one line user:password"],
  ["a comma in the password", () => credentials("atelier:a,b"), undefined, "not one line user:password"],
  ["no password", () => credentials("atelier:"), undefined, "not one line user:password"],
  ["two lines", () => credentials("atelier:a\nother:b"), undefined, "not one line user:password"],
])("credentials with %s: one line says so, and nothing of the secret", async (_what, spoil, variable, message) => {
  spoil();
  const { code, stdout, stderr } = await run([], variable === undefined ? {} : { ATELIER_CREDENTIALS: variable });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: webui_start: [^\n]*\n$/);
  expect(stderr).toContain(message);
  expect(stdout + stderr).not.toMatch(/s3cret|a:b|a,b/);
});

function credentials(text: string) {
  writeFileSync(join(workspace, "data", "credentials"), text, { mode: 0o600 });
}

test("a folder without a WebUI is refused", async () => {
  const { code, stderr } = await run([], { ATELIER_WEBUI: join(workspace, "data") });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: webui_start: no WebUI in .*data .*sources step/);
});

test.each([["--api-auth", "u:p"], ["--gradio-auth=u:p"], ["--gradio-auth-path", "f"]])(
  "a login in the arguments is refused: %s",
  async (...args) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: webui_start: --(api|gradio)-auth(-path)? is not for the command line/);
    expect(stderr).not.toContain("u:p");
  },
);

test("a taken port is refused before anything is loaded", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address() as { port: number };
  try {
    const { code, stdout, stderr } = await run(["--port", String(port)]);
    expect(code).toBe(1);
    expect(stderr).toContain(`can't listen on 127.0.0.1 port ${port}: Address already in use`);
    expect(stdout).toBe("");
  } finally {
    server.close();
  }
});

test("the WebUI has its login in memory, its own folder, and no secret in arguments or environment", async () => {
  launchUtils(
    [
      "import json, os, sys",
      "from modules.shared_cmd_options import cmd_opts",
      "arguments = open('/proc/self/cmdline').read() if os.path.exists('/proc/self/cmdline') else ''",
      "print(json.dumps({'api_auth': cmd_opts.api_auth, 'file': cmd_opts.gradio_auth_path, 'cwd': os.getcwd(), 'path': sys.path[0],",
      "  'argv': sys.argv, 'environ': dict(os.environ), 'arguments': arguments}))",
    ].join("\n"),
  );
  const { code, stdout, stderr } = await run(["--port", "0", "--api"], { COMMANDLINE_ARGS: "--share" });
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const seen = JSON.parse(stdout);
  const webui = execFileSync("realpath", [join(workspace, "src", "webui")], { encoding: "utf8" }).trim();
  expect(seen).toMatchObject({
    api_auth: login,
    file: join(workspace, "data", "credentials"),
    cwd: webui,
    path: webui,
  });
  expect(seen.argv).toEqual([join(webui, "launch.py"), "--port", "0", "--api"]);
  expect(seen.environ).not.toHaveProperty("COMMANDLINE_ARGS");
  expect(JSON.stringify([seen.argv, seen.environ, seen.arguments])).not.toContain("s3cret");
});

test("flags that the WebUI does not know end it with a word on where they come from", async () => {
  writeFileSync(
    join(workspace, "src", "webui", "modules", "launch_utils.py"),
    "def start():\n    import modules.shared_cmd_options\n",
  );
  const { code, stderr } = await run(["--port", "0", "--no-such-flag"]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/error: webui_start: the WebUI does not take these flags; see webui.flags in the settings\n$/);
});

test("a WebUI that dies while its threads go on ends at once, so that it is started again", async () => {
  launchUtils(
    "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\nraise RuntimeError('no more')",
  );
  const { code, stderr, seconds } = await run(["--port", "0"]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/error: webui_start: the WebUI ended: RuntimeError: no more\n$/);
  expect(seconds).toBeLessThan(15);
});

/** starlette as far as its refusal goes: `add_middleware` after the first request. */
const starlette = `
class Starlette:
    def __init__(self):
        self.user_middleware = []
        self.middleware_stack = None
    def build_middleware_stack(self):
        return [m.cls for m in self.user_middleware]
    def add_middleware(self, cls, **options):
        if self.middleware_stack is not None:
            raise RuntimeError("Cannot add middleware after an application has started")
        from starlette.middleware import Middleware
        self.user_middleware.insert(0, Middleware(cls, **options))
`;

test("a request between the open port and the added API does not end the WebUI", async () => {
  const packages = join(workspace, "src", "webui", "starlette");
  mkdirSync(packages);
  writeFileSync(join(packages, "__init__.py"), "");
  writeFileSync(join(packages, "applications.py"), starlette);
  writeFileSync(
    join(packages, "middleware.py"),
    "class Middleware:\n    def __init__(self, cls, **options):\n        self.cls, self.options = cls, options\n",
  );
  const late = [
    "from starlette.applications import Starlette",
    "app = Starlette()",
    "app.add_middleware('early')",
    "app.middleware_stack = app.build_middleware_stack()  # what the first request does",
    "app.add_middleware('late')",
    "print(app.middleware_stack)",
  ].join("\n");
  launchUtils(late);
  // Without the mend it does end.
  const bare = spawnSync("python3", ["-c", "from modules import launch_utils; launch_utils.start()"], {
    cwd: join(workspace, "src", "webui"),
    encoding: "utf8",
  });
  expect(bare.stderr).toContain("Cannot add middleware");
  const { code, stdout, stderr } = await run(["--port", "0"]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout).toBe("['late', 'early']\n");
});

/** gradio as far as its rule goes: a hidden name anywhere in the whole path is one too many. */
const gradio = `
from pathlib import Path
def abspath(path):
    path = Path(path)
    return path if path.is_absolute() else path.resolve()
def given(path):
    whole = abspath(path)
    return not any(part.startswith(".") for part in whole.parts) and whole.exists()
`;

test("a workspace below a hidden folder gives its files, and none of what is hidden in it", async () => {
  const hidden = join(workspace, ".hidden", "of it");
  for (const name of ["bin", "src", "data"]) cpSync(join(workspace, name), join(hidden, name), { recursive: true });
  const webui = join(hidden, "src", "webui");
  mkdirSync(join(webui, "gradio"));
  mkdirSync(join(webui, ".git"));
  writeFileSync(join(webui, "gradio", "__init__.py"), "");
  writeFileSync(join(webui, "gradio", "utils.py"), gradio);
  for (const file of ["script.js", ".git/config", ".env", "../../data/user.css", "../../beside.js"]) {
    writeFileSync(join(webui, file), "");
  }
  const asked = ["script.js", ".git/config", ".env", "nothing.js", "data/../.hidden/x", `${hidden}/data/user.css`];
  asked.push(`${hidden}/data/../beside.js`, `${hidden}/beside.js`, `${webui}/script.js`);
  writeFileSync(
    join(webui, "modules", "launch_utils.py"),
    `def start():\n    from gradio import utils\n    print([utils.given(path) for path in ${JSON.stringify(asked)}])\n` +
      `    print(str(utils.abspath("script.js")), utils.abspath("script.js").relative_to("${hidden}"))\n`,
  );
  // Without the mend nothing comes.
  const bare = spawnSync("python3", ["-c", "from modules import launch_utils; launch_utils.start()"], {
    cwd: webui,
    encoding: "utf8",
  });
  expect(bare.stdout).toContain(`[${asked.map(() => "False").join(", ")}]`);
  const { code, stdout, stderr } = await run(["--port", "0", "--data-dir", join(hidden, "data")], {
    ATELIER_WEBUI: webui,
  });
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout.split("\n")).toEqual([
    "[True, False, False, False, False, True, False, False, True]",
    `${webui}/script.js src/webui/script.js`,
    "",
  ]);
});

/** The WebUI's previews as far as their files go: one is there, the other would be asked of GitHub. */
const approx = `
import os
class Sample:
    def float(self):
        return "whole"
def download_model(path, url):
    raise OSError("Name or service not known")
def model(path="vaeapprox-sdxl.pt"):
    if not os.path.exists(path):
        download_model(path, "https://github.com/" + path)
    return lambda sample: "fine"
def cheap_approximation(sample):
    return "coarse of " + sample
`;

test("a picture does not wait for a preview model that is not there, nor end with it", async () => {
  const webui = join(workspace, "src", "webui");
  writeFileSync(join(webui, "modules", "sd_vae_approx.py"), approx);
  launchUtils(
    "from modules import sd_vae_approx as previews\nprint(previews.model()(previews.Sample()))\n" +
      "open('vaeapprox-sdxl.pt', 'w').close()\nprint(previews.model()(previews.Sample()))",
  );
  // Without the mend the picture ends in an error.
  const bare = spawnSync("python3", ["-c", "from modules import launch_utils; launch_utils.start()"], {
    cwd: webui,
    encoding: "utf8",
  });
  expect(bare.stderr).toContain("Name or service not known");
  const { code, stdout, stderr } = await run(["--port", "0"]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout).toBe("coarse of whole\nfine\n");
});

/** A FastAPI whose every path answers 200, as a route does that an extension added. */
const fastapi = `
class FastAPI:
    def build_middleware_stack(self):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
        return app
`;

test.each([
  ["/sdapi/v1/loras", "", 401, "Not authenticated"],
  ["/controlnet/detect", "", 401, "Not authenticated"],
  ["/sdapi/v1/loras", "Bearer x", 401, "Not authenticated"],
  ["/sdapi/v1/loras", "Basic ?", 401, "Invalid authentication credentials"],
  ["/sdapi/v1/loras", `Basic ${btoa("atelier:wrong")}`, 401, "Incorrect username or password"],
  ["/sdapi/v1/loras", `Basic ${btoa("other:s3cret_word")}`, 401, "Incorrect username or password"],
  ["/sdapi/v1/loras", `Basic ${btoa(login)}`, 200, ""],
  ["/sdapi/v1/loras", `basic ${btoa(login)}`, 200, ""],
  ["/internal/ping", "", 200, ""],
])(
  "a route that an extension forgot to guard asks for the password: %s with `%s` is %i %s",
  async (path, authorization, status, detail) => {
    writeFileSync(join(workspace, "src", "webui", "fastapi.py"), fastapi);
    launchUtils(
      [
        "import asyncio, json",
        "from fastapi import FastAPI",
        "sent = []",
        "async def send(message): sent.append(message)",
        `headers = [(b'authorization', ${JSON.stringify(authorization)}.encode())]`,
        `scope = {'type': 'http', 'method': 'GET', 'path': '${path}', 'headers': headers}`,
        "asyncio.run(FastAPI().build_middleware_stack()(scope, None, send))",
        "print(sent[0]['status'], json.loads(sent[1]['body'])['detail'] if len(sent) > 1 else '')",
      ].join("\n"),
    );
    const { code, stdout, stderr } = await run(["--port", "0"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout.trim()).toBe(`${status} ${detail}`.trim());
  },
);
