"""Upscalers: those of the release, and the files below models/ESRGAN, as they were at the start: the real one has no refresh for them."""

import functools
import os

from modules import contract
from modules.shared_cmd_options import cmd_opts


@functools.lru_cache(maxsize=None)
def answered():
    folder = cmd_opts.esrgan_models_path
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    own = [
        {"name": os.path.splitext(name)[0], "model_name": None, "model_path": os.path.join(folder, name), "model_url": None, "scale": 4}
        for name in names
        if name.endswith((".pth", ".pt", ".safetensors"))
    ]
    return contract.load("upscalers") + own
