"""The launch flags: those of the real one, made from the list that it answers itself."""

import argparse
import json
import os

from modules import contract

script_path = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
early.add_argument("--data-dir", default=script_path)
data_path = os.path.abspath(early.parse_known_args()[0].data_dir)

# Numbers that the real one takes as such, though it answers them as text.
numbers = {"port": int, "sub_quad_kv_chunk_size": int, "sub_quad_chunk_threshold": float}


def add(parser, key, default):
    flag = "-f" if key == "f" else "--" + key.replace("_", "-")
    if isinstance(default, bool):
        parser.add_argument(flag, dest=key, action="store_true", default=default)
    elif key == "use_cpu":
        parser.add_argument(flag, nargs="+", default=default, type=str.lower)
    elif isinstance(default, list):
        parser.add_argument(flag, action="append", default=default)
    elif isinstance(default, dict):
        parser.add_argument(flag, type=json.loads, default=default)
    else:
        kind = numbers.get(key, type(default) if isinstance(default, int) else str)
        parser.add_argument(flag, type=kind, default=default)


def make_parser():
    parser = argparse.ArgumentParser()
    text = json.dumps(contract.load("cmd-flags"))
    flags = json.loads(text.replace("$DATA", json.dumps(data_path)[1:-1]).replace("$ROOT", json.dumps(script_path)[1:-1]))
    for key, default in flags.items():
        add(parser, key, default)
    return parser


parser = make_parser()


def as_answered(options):
    """As `GET cmd-flags` tells them: what had no value by default is text."""
    from modules import lies

    answer = {}
    for key, default in contract.load("cmd-flags").items():
        value = default if lies.tells("flags-ignored") else getattr(options, key)
        answer[key] = str(value) if default is None and value is not None and not isinstance(value, list) else value
    return answer
