"""/internal/sysinfo, which the real one leaves open, with the same leaks."""

import os
import platform
import sys

from modules.launch_utils import commit_hash, git_tag
from modules.paths import data_path, script_path

shown_variables = {
    "GIT",
    "INDEX_URL",
    "GRADIO_ANALYTICS_ENABLED",
    "PYTHONPATH",
    "TORCH_INDEX_URL",
    "TORCH_COMMAND",
    "REQS_FILE",
    "XFORMERS_PACKAGE",
    "CLIP_PACKAGE",
    "OPENCLIP_PACKAGE",
    "COMMANDLINE_ARGS",
    "IGNORE_CMD_ARGS_ERRORS",
}


def command_line():
    """Hides the word after an --…-auth flag; `--api-auth=user:password` stays in clear."""
    words = list(sys.argv)
    for flag in ("--api-auth", "--gradio-auth"):
        if flag in words[:-1]:
            words[words.index(flag) + 1] = "<hidden>"
    return words


def ram():
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}
    return lines["MemTotal"], lines["MemAvailable"]


def memory():
    """As `GET /sdapi/v1/memory` on a machine without CUDA."""
    try:
        total, _ = ram()
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return {"ram": {"free": float(total - used), "used": used, "total": float(total)}, "cuda": {"error": "unavailable"}}
    except OSError as error:
        return {"ram": {"error": str(error)}, "cuda": {"error": "unavailable"}}


def sysinfo(shared):
    return {
        "Platform": platform.platform(),
        "Python": platform.python_version(),
        "Version": git_tag(),
        "Commit": commit_hash(),
        "Git status": "",
        "Script path": script_path,
        "Data path": data_path,
        "Extensions dir": os.path.join(data_path, "extensions"),
        "Checksum": "0" * 64,
        "Commandline": command_line(),
        "Torch env info": "REHEARSAL: no torch",
        "Exceptions": [],
        "CPU": {"model": platform.processor(), "count logical": os.cpu_count(), "count physical": os.cpu_count()},
        "RAM": memory()["ram"],
        "Extensions": [],
        "Inactive extensions": [],
        "Environment": {name: os.environ[name] for name in sorted(os.environ) if name in shown_variables},
        "Config": shared.opts.answered(),
        "Startup": {"total": 0.0, "records": {}},
        "Packages": [],
    }
