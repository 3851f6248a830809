"""VAEs: files below models/VAE, by their names. One that is not there is passed over in the log."""

import os

from modules import hashes, paths

folder = os.path.join(paths.models_path, "VAE")


def files():
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return {name: os.path.join(folder, name) for name in names if name.endswith((".safetensors", ".ckpt", ".pt"))}


def answered():
    return [{"model_name": name, "filename": path} for name, path in files().items()]


def chosen(opts):
    """(name, short hash) of the VAE that draws; (None, None) for the checkpoint's own."""
    wanted = opts["sd_vae"]
    path = files().get(wanted)
    if path is None:
        if wanted not in ("Automatic", "None"):
            print(f"Couldn't find VAE named {wanted}; using None instead")
        return None, None
    return wanted, hashes.sha256(path)[:10]
