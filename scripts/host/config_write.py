"""Merges our entries into one of the WebUI's JSON files: ours win, the user's others stay, and what we wrote once and write no more goes.

Arguments: FILE, RECORD (what we wrote last); our entries as JSON on standard input.
"""
import json
import os
import sys
import time


def main():
    path, record = sys.argv[1:]
    ours = json.load(sys.stdin)
    if not isinstance(ours, dict):
        sys.exit(f"error: config: the entries for {os.path.basename(path)} are not a JSON object")
    theirs = read(path)
    written = read(record)
    # An entry that the user changed meanwhile is the user's.
    stale = [key for key, value in written.items() if key not in ours and theirs.get(key) == value]
    merged = {key: value for key, value in {**theirs, **ours}.items() if key not in stale}
    # The WebUI trusts this hash of another checkpoint more than the name.
    if theirs.get("sd_model_checkpoint") != merged.get("sd_model_checkpoint"):
        merged.pop("sd_checkpoint_hash", None)
    if merged != theirs or (ours and not os.path.exists(path)):
        write(path, merged)
    if written != ours:
        write(record, ours)


def read(path):
    """The file's entries. One that is no JSON object is moved aside."""
    try:
        with open(path, encoding="utf-8") as stream:
            entries = json.load(stream)
        if not isinstance(entries, dict):
            raise ValueError("not an object")
        return entries
    except FileNotFoundError:
        return {}
    except ValueError as error:
        aside = f"{path}.aside-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        os.replace(path, aside)
        print(f"config: {os.path.basename(path)} could not be read ({error}); moved to {aside}", file=sys.stderr)
        return {}


def write(path, entries):
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump(entries, stream, indent=4)
    os.replace(path + ".new", path)


main()
