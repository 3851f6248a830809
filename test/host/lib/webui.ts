import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sharedCache, Workspace } from "./workspace.ts";

/** How the stand-in WebUI behaves; it reads this at each start and each picture. */
export interface Behaviour {
  /** Seconds until its log says that it has started. */
  start?: number;
  /** Lines that it logs after that. */
  lines?: string[];
  /** So many starts end in the start-up race. */
  races?: number;
  /** It ends with an error instead of listening. */
  dies?: boolean;
  /** Name of the model that it draws with, until it is asked for `accepts`. */
  model?: string;
  accepts?: string;
  /** HTTP status of a picture. */
  status?: number;
  /** Seconds that a picture takes. */
  picture?: number;
}

/** Stands where webui_start.py does: the same arguments, credentials and log lines, a small part of the API. */
const starter = `
import base64, json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
folder = os.environ["ATELIER_WEBUI"]
def behave():
    with open(os.path.join(folder, "behave.json")) as stream: return json.load(stream)
def count(name):
    path = os.path.join(folder, name)
    number = int(open(path).read()) + 1 if os.path.exists(path) else 1
    open(path, "w").write(str(number))
    return number
with open(os.environ["ATELIER_CREDENTIALS"]) as stream: login = "Basic " + base64.b64encode(stream.read().strip().encode()).decode()
argv = sys.argv[1:]
with open(os.path.join(folder, "seen.new"), "w") as stream: json.dump({"argv": argv, "environ": dict(os.environ), "cwd": os.getcwd()}, stream)
os.replace(os.path.join(folder, "seen.new"), os.path.join(folder, "seen.json"))
start = count("starts")
now = behave()
print("Launching Web UI with arguments:", *argv, flush=True)
if now.get("dies"): sys.exit("RuntimeError: it dies at once")
raced = start <= now.get("races", 0)
chosen = {"model": now.get("model", "v1-5")}
class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status); self.send_header("content-length", str(len(data))); self.end_headers(); self.wfile.write(data)
    def serve(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        open(os.path.join(folder, "asked"), "a").write(f"{time.time()} {self.path}\\n")
        if raced: return self.answer(404, {"detail": "Not Found"})
        if self.headers.get("authorization") != login: return self.answer(401, {"detail": "Incorrect username or password"})
        if self.path.endswith("/options"):
            if body["sd_model_checkpoint"] == behave().get("accepts"): chosen["model"] = os.path.splitext(body["sd_model_checkpoint"])[0]
            return self.answer(200, None)
        if self.path.endswith("/txt2img"):
            time.sleep(behave().get("picture", 0))
            status = behave().get("status", 200)
            if status != 200: return self.answer(status, {"error": "OSError", "errors": "it can not draw"})
            return self.answer(200, {"images": ["aGk="], "info": json.dumps({"sd_model_name": chosen["model"], "sd_model_hash": "0123456789"})})
        return self.answer(200, [])
    do_GET = do_POST = serve
server = ThreadingHTTPServer(("127.0.0.1", int(argv[argv.index("--port") + 1])), Handler)
import threading; threading.Thread(target=server.serve_forever, daemon=True).start()
time.sleep(now.get("start", 0.2))
if raced: print("RuntimeError: Cannot add middleware after an application has started", flush=True)
else: print("Startup time: 0.2s (prepare environment: 0.1s).", flush=True)
for line in now.get("lines", []): print(line, flush=True)
while True: time.sleep(1)
`;

/** A workspace whose Python, supervisor and WebUI folder are in place; the WebUI itself is the stand-in above. */
export class WebuiHost {
  readonly workspace = new Workspace(sharedCache);
  readonly source = join(this.workspace.path, "src", "webui");

  async prepare(): Promise<void> {
    const { workspace } = this;
    const python = await workspace.run("30-python.sh", "apply", { python: ["3.10", "3.11", "3.12", "3.13"] });
    if (python.code !== 0) throw new Error(python.stderr);
    mkdirSync(this.source, { recursive: true });
    workspace.script("webui_start.py", starter);
    this.behave({});
  }

  behave(behaviour: Behaviour): void {
    writeFileSync(join(this.source, "behave.json"), JSON.stringify(behaviour));
  }

  /** The processes that hold this path in their command line; not a child of one, which has its parent's until it has become what it is to be. */
  processes(part: string): number[] {
    const found = readdirSync("/proc").flatMap((pid) => {
      try {
        if (!/^\d+$/.test(pid) || !readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(part)) return [];
        const [, parent] = /\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
        return [{ pid: Number(pid), parent: Number(parent) }];
      } catch {
        // It ended while we looked.
        return [];
      }
    });
    return found.filter(({ parent }) => !found.some(({ pid }) => pid === parent)).map(({ pid }) => pid);
  }
}
