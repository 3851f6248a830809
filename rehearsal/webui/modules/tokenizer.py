"""The tokenizer's files, looked for where huggingface_hub looks."""

import os
import urllib.request

repository = "openai/clip-vit-large-patch14"
files = ["vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json", "config.json"]


def _hub():
    home = os.environ.get("HF_HOME") or os.path.join(os.path.expanduser("~"), ".cache", "huggingface")
    return os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")


def _cached(file):
    folder = os.path.join(_hub(), "models--" + repository.replace("/", "--"))
    try:
        with open(os.path.join(folder, "refs", "main"), encoding="utf-8") as ref:
            return os.path.isfile(os.path.join(folder, "snapshots", ref.read(), file))
    except OSError:
        return False


def load():
    """Raises OSError when a file is neither in the cache nor to be had from HF_ENDPOINT."""
    missing = [file for file in files if not _cached(file)]
    offline = os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0")
    if offline:
        # Without the network the three that carry the vocabulary are enough.
        missing = [file for file in missing if file in ("vocab.json", "merges.txt", "config.json")]
    if not missing:
        return
    try:
        endpoint = os.environ["HF_ENDPOINT"].rstrip("/")
        if offline:
            raise OSError("offline mode")
        for file in missing:
            with urllib.request.urlopen(f"{endpoint}/{repository}/resolve/main/{file}", timeout=10) as answer:
                answer.read()
    except (KeyError, OSError):
        raise OSError(
            f"Can't load tokenizer for '{repository}'. If you were trying to load it from 'https://huggingface.co/models', "
            f"make sure you don't have a local directory with the same name. Otherwise, make sure '{repository}' is the "
            "correct path to a directory containing all relevant files for a CLIPTokenizer tokenizer."
        ) from None
