import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

/** One way to fetch: a command, for the addresses of one file. */
export interface Contender {
  name: string;
  /** It can use more than one address of a file. */
  several: boolean;
  /** It proves the sha256 before it is done. */
  proves: boolean;
  run(urls: string[], folder: string): Work;
  /** The finished file, below `folder`. */
  result: string;
}

export interface Work {
  command: string[];
  env?: Record<string, string>;
  stdin?: string;
}

export interface Wanted {
  bytes: number;
  sha256: string;
}

// The interpreter itself, as the host's step has it: a version manager's shim starts a shell first.
const python = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).trim();
const script = resolve(import.meta.dirname, "..", "..", "scripts", "host", "fetch.py");
const uv = process.env.UV ?? "uv";
const onPath = (name: string) =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)));

function own(name: string, aria2: "yes" | "no", { bytes, sha256 }: Wanted): Contender {
  return {
    name,
    several: true,
    proves: true,
    run: (urls, folder) => ({
      // As the step calls it.
      command: [python, "-S", script],
      env: { ATELIER_FETCH_ARIA2: aria2, PYTHONDONTWRITEBYTECODE: "1" },
      stdin: `cache\t${folder}\nfile\tf.safetensors\t${bytes}\t${sha256}\t${urls.join(" ")}\n`,
    }),
    result: `sha256/${sha256}`,
  };
}

/**
 * The ways that this machine has, and why others are left out.
 * @param scratch for huggingface_hub's virtual environment, made by uv (on PATH, or in $UV)
 */
export function contenders(scratch: string, wanted: Wanted): { able: Contender[]; missing: string[] } {
  const able: Contender[] = [own("atelier", "no", wanted)];
  const missing: string[] = [];
  const add = (tool: string, contender: Contender) => {
    if (onPath(tool)) able.push(contender);
    else missing.push(`${contender.name}: no ${tool} on PATH`);
  };
  add("aria2c", own("atelier by aria2c", "yes", wanted));
  add("aria2c", {
    name: "aria2c",
    several: true,
    proves: false,
    run: (urls, folder) => ({
      command: [
        "aria2c",
        "--no-conf",
        "-q",
        "-x4",
        `-s${urls.length * 4}`,
        "--file-allocation=none",
        "-d",
        folder,
        "-o",
        "f",
        ...urls,
      ],
    }),
    result: "f",
  });
  add("curl", {
    name: "curl",
    several: false,
    proves: false,
    run: ([url = ""], folder) => ({ command: ["curl", "-qsSfL", "--retry", "3", "-o", join(folder, "f"), url] }),
    result: "f",
  });
  add("wget", {
    name: "wget",
    several: false,
    proves: false,
    run: ([url = ""], folder) => ({ command: ["wget", "--no-config", "-q", "-O", join(folder, "f"), url] }),
    result: "f",
  });
  // What it costs them to prove as much as ours.
  if (onPath("sha256sum"))
    add("curl", {
      name: "curl, then sha256sum",
      several: false,
      proves: true,
      run: ([url = ""], folder) => ({
        command: [
          "sh",
          "-c",
          'curl -qsSfL --retry 3 -o "$1" "$2" && echo "$3  $1" | sha256sum -c --quiet',
          "sh",
        ].concat(join(folder, "f"), url, wanted.sha256),
      }),
      result: "f",
    });
  const hub = huggingfaceHub(scratch);
  if ("contender" in hub) able.push(hub.contender);
  else missing.push(`huggingface_hub: ${hub.why}`);
  return { able, missing };
}

function huggingfaceHub(scratch: string): { contender: Contender } | { why: string } {
  const python = join(scratch, "venv", "bin", "python");
  try {
    mkdirSync(scratch, { recursive: true });
    const options = { stdio: "pipe", timeout: 300_000, encoding: "utf8" } as const;
    execFileSync(uv, ["venv", "-q", join(scratch, "venv")], options);
    execFileSync(uv, ["pip", "install", "-q", "--python", python, "huggingface_hub"], options);
  } catch (error) {
    return { why: `uv could not install it (${(error as Error).message.split("\n")[0]})` };
  }
  const version = execFileSync(python, ["-c", "import huggingface_hub; print(huggingface_hub.__version__)"], {
    encoding: "utf8",
  }).trim();
  const code =
    "import sys; from huggingface_hub import hf_hub_download; hf_hub_download('o/r', 'f.safetensors', local_dir=sys.argv[1])";
  return {
    contender: {
      name: `huggingface_hub ${version}`,
      several: false,
      proves: false,
      run: ([url = ""], folder) => ({
        command: [python, "-c", code, folder],
        env: {
          HF_ENDPOINT: new URL(url).origin,
          HF_HUB_DISABLE_TELEMETRY: "1",
          HF_HUB_DISABLE_XET: "1",
          HF_HOME: join(folder, "home"),
        },
      }),
      result: "f.safetensors",
    },
  };
}
