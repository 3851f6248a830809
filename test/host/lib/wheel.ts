import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const program = `
import sys, zipfile
path, name, version, text = sys.argv[1:]
with zipfile.ZipFile(path, "w") as wheel:
    info = f"{name}-{version}.dist-info"
    wheel.writestr(f"{name}.py", text)
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", f"{name}.py,,\\n{info}/METADATA,,\\n{info}/WHEEL,,\\n{info}/RECORD,,\\n")
`;

export interface MadeWheel {
  name: string;
  file: string;
  path: string;
  bytes: number;
  sha256: string;
  /** Its lines in a wheel lock. */
  locked: string;
}

/** A pure wheel of one module. */
export function makeWheel(folder: string, name: string, version = "1.0", text = "answer = 42\n"): MadeWheel {
  mkdirSync(folder, { recursive: true });
  const file = `${name}-${version}-py3-none-any.whl`;
  const path = join(folder, file);
  execFileSync("python3", ["-c", program, path, name, version, text]);
  const content = readFileSync(path);
  const sha256 = createHash("sha256").update(content).digest("hex");
  const locked = `${name}==${version} \\\n    --hash=sha256:${sha256}\n    # bytes: ${content.length}\n`;
  return { name, file, path, bytes: content.length, sha256, locked };
}
