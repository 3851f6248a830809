"""Merges our options into the WebUI's config.json: ours win, the user's others stay. Arguments: FILE; options as JSON on standard input."""
import json
import os
import sys
import time


def main():
    path = sys.argv[1]
    ours = json.load(sys.stdin)
    if not isinstance(ours, dict):
        sys.exit("error: config: options is not a JSON object")
    theirs = {}
    try:
        with open(path, encoding="utf-8") as stream:
            theirs = json.load(stream)
        if not isinstance(theirs, dict):
            raise ValueError("not an object")
    except FileNotFoundError:
        pass
    except ValueError as error:
        aside = f"{path}.aside-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        os.replace(path, aside)
        print(f"config: config.json could not be read ({error}); moved to {aside}", file=sys.stderr)
    merged = {**theirs, **ours}
    if merged == theirs:
        return
    # The WebUI trusts this hash of another checkpoint more than the name.
    if theirs.get("sd_model_checkpoint") != merged.get("sd_model_checkpoint"):
        merged.pop("sd_checkpoint_hash", None)
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump(merged, stream, indent=4)
    os.replace(path + ".new", path)


main()
