"""Folders, and the repositories that must lie beside the WebUI."""

import os
import sys

from modules.cmd_args import data_path, script_path
from modules.shared_cmd_options import cmd_opts

models_path = os.path.abspath(cmd_opts.models_dir or os.path.join(data_path, "models"))

repositories = [
    ("stable-diffusion-stability-ai", "ldm/models/diffusion/ddpm.py", "Stable Diffusion"),
    ("generative-models", "sgm", "Stable Diffusion XL"),
    ("BLIP", "models/blip.py", "BLIP"),
    ("k-diffusion", "k_diffusion/sampling.py", "k_diffusion"),
]


def check_repositories():
    """The real one can't be imported without them, nor without CLIP."""
    for folder, needed, name in repositories:
        path = os.path.join(script_path, "repositories", folder)
        if not os.path.exists(os.path.join(path, needed)):
            raise AssertionError(f"Couldn't find {name} in any of: {[path]}")
        if folder != "BLIP":
            sys.path.append(path)
    import clip  # noqa: F401
    import k_diffusion  # noqa: F401
    import ldm  # noqa: F401
    import sgm  # noqa: F401
