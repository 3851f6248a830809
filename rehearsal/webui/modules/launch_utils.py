"""What a starter calls: `start()`."""

import functools
import os
import shlex
import subprocess
import sys

from modules import cmd_args

script_path = cmd_args.script_path
args, _ = cmd_args.parser.parse_known_args()


def git_tag():
    return "v1.10.1-rehearsal"


@functools.lru_cache(maxsize=None)
def commit_hash():
    try:
        command = [os.environ.get("GIT", "git"), "-C", script_path, "rev-parse", "HEAD"]
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL, timeout=2).strip()
    except (OSError, subprocess.SubprocessError):
        return "<none>"


def start():
    # A service's log is read while it grows.
    sys.stdout.reconfigure(line_buffering=True)
    print(f"Python {sys.version}")
    print(f"Version: {git_tag()} (REHEARSAL: a stand-in)")
    print(f"Commit hash: {commit_hash()}")
    only_api = "--nowebui" in sys.argv
    print(f"Launching {'API server' if only_api else 'Web UI'} with arguments: {shlex.join(sys.argv[1:])}")
    import webui

    if only_api:
        webui.api_only()
    else:
        webui.webui()
