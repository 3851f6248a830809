#!/usr/bin/env python3
"""Takes the uv program out of its wheel: uv_unpack.py <folder of wheels> <requirements file> <folder for the program>

The wheel has to be one of those whose sha256 the requirements name; where they name none, of the version that they pin.
Exit code 1: no such wheel there. A virtual environment with pip, only for this, would take seconds at each set-up.
"""

import glob
import hashlib
import os
import platform
import re
import sys
import zipfile


def main(folder, requirements, target):
    with open(requirements, encoding="utf-8") as file:
        text = file.read()
    hashes = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
    version = re.search(r"^uv==([\w.+!-]+)", text, re.MULTILINE)
    if not version:
        sys.exit(f"{requirements} pins no uv")
    machine = platform.machine().replace("arm64", "aarch64")
    for wheel in sorted(glob.glob(os.path.join(folder, f"uv-{version.group(1)}-*{machine}.whl"))):
        if hashes and sha256(wheel) not in hashes:
            continue
        unpack(wheel, target)
        return
    sys.exit(f"{folder} has no wheel of uv {version.group(1)} for {machine} with one of the locked hashes")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def unpack(wheel, target):
    with zipfile.ZipFile(wheel) as archive:
        name = next(entry for entry in archive.namelist() if entry.endswith(".data/scripts/uv"))
        os.makedirs(target, exist_ok=True)
        path = os.path.join(target, "uv")
        with open(path + ".new", "wb") as file:
            file.write(archive.read(name))
        os.chmod(path + ".new", 0o755)
        os.replace(path + ".new", path)


if __name__ == "__main__":
    main(*sys.argv[1:])
