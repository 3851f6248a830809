"""Merges our entries into one of the WebUI's JSON files: ours win, the user's others stay, and what we wrote once and write no more goes.

Arguments: FILE, RECORD (what we wrote last); our entries as JSON on standard input. Or: check, FILE, RECORD: exit code 1, and why, where the file
can't be read, or lacks an entry of the record. Another value is the user's; the WebUI itself begins with an empty file where its own was torn.
"""
import json
import os
import sys
import time


def main():
    if sys.argv[1] == "check":
        sys.exit(wrong(*sys.argv[2:]))
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


def wrong(path, record):
    """Why the file is not in place; None when it is."""
    try:
        entries, written = load(path), load(record)
    except ValueError as error:
        return f"data/{os.path.basename(path)} can't be read ({error})"
    lost = ", ".join(sorted(key for key in written if key not in entries))
    return f"data/{os.path.basename(path)} has lost {lost}" if lost else None


def load(path):
    try:
        with open(path, encoding="utf-8") as stream:
            entries = json.load(stream)
    except FileNotFoundError:
        return {}
    if not isinstance(entries, dict):
        raise ValueError("not an object")
    return entries


def read(path):
    """The file's entries. One that is no JSON object is moved aside."""
    try:
        return load(path)
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
