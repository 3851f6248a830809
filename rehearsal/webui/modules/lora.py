"""LoRAs: `<lora:name:weight>` in a prompt. One that is not there, and one for other models, is passed over without a word."""

import hashlib
import json
import os
import re

from modules import lies
from modules.shared_cmd_options import cmd_opts

mention = re.compile(r"<lora:([^:>]+)(?::([^:>]*))?[^>]*>")


class Network:
    def __init__(self, path):
        self.path = path
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.metadata, self.sha256 = {}, ""
        with open(path, "rb") as file:
            content = file.read()
        length = int.from_bytes(content[:8], "little")
        if path.endswith(".safetensors") and length <= len(content):
            self.metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
            # Without the header, as trainers count it.
            self.sha256 = hashlib.sha256(content[8 + length :]).hexdigest()
        else:
            self.sha256 = hashlib.sha256(content).hexdigest()
        self.alias = self.metadata.get("ss_output_name", self.name)
        self.base = "sdxl" if self.metadata.get("ss_base_model_version", "").startswith("sdxl") else "sd15"

    def answered(self):
        return {"name": self.name, "alias": self.alias, "path": self.path, "metadata": self.metadata}


networks = []


def refresh():
    folder = cmd_opts.lora_dir
    files = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    networks[:] = [Network(os.path.join(folder, file)) for file in files if file.endswith((".safetensors", ".pt", ".ckpt"))]


def answered():
    return [network.answered() for network in networks]


def apply(drawing):
    """Takes the mentions out of what is drawn by; the text keeps them. Their hashes stand in it even where they change nothing."""
    hashes = {}
    for name, weight in mention.findall(drawing.prompt):
        network = next((one for one in networks if name in (one.name, one.alias)), None)
        if network is None:
            continue
        hashes[name.translate(str.maketrans("", "", ":,"))] = network.sha256[:12]
        if network.base == drawing.model.base and not lies.tells("lora-ignored"):
            drawing.effects.append((network.sha256, float(weight or 1)))
    drawing.prompt = mention.sub("", drawing.prompt)
    if hashes:
        drawing.parameters["Lora hashes"] = ", ".join(f"{name}: {sha}" for name, sha in hashes.items())
