"""sha256 of checkpoints, kept over restarts."""

import hashlib
import json
import os

from modules.cmd_args import data_path

cache_path = os.path.join(data_path, "cache", "hashes.json")


def _read():
    try:
        with open(cache_path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def cached(path):
    try:
        entry = _read().get(path)
        # As the real one: an older file under the same name is taken for the one that it knows.
        return entry["sha256"] if entry and os.path.getmtime(path) <= entry["mtime"] else None
    except OSError:
        return None


def sha256(path):
    known = cached(path)
    if known:
        return known
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    print(f"Calculating sha256 for {path}: {digest.hexdigest()}")
    entries = _read()
    entries[path] = {"mtime": os.path.getmtime(path), "sha256": digest.hexdigest()}
    os.makedirs(os.path.dirname(cache_path), exist_ok=True)
    beside = f"{cache_path}.new"
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(entries, file)
    os.replace(beside, cache_path)
    return digest.hexdigest()
