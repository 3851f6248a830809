"""The settings behind `GET` and `POST /sdapi/v1/options`, kept in config.json."""

import json
import os
import threading

from modules import contract, lies

stale_hash = "00" * 32


class Options:
    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        # While a picture has settings of its own, nothing is kept: they are over with it.
        self.held = False
        self.data = dict(contract.load("options"))
        try:
            with open(path, encoding="utf-8") as file:
                self.data.update(json.load(file))
        except FileNotFoundError:
            pass

    def __getitem__(self, key):
        return self.data[key]

    def set(self, key, value):
        """Raises KeyError for an unknown key, as the real one does. Says whether it changed."""
        if key not in self.data:
            raise KeyError(key)
        changed = self.data[key] != value
        self.data[key] = value
        return changed

    def save(self):
        if self.held:
            return
        with self.lock:
            beside = f"{self.path}.new"
            with open(beside, "w", encoding="utf-8") as file:
                json.dump(self.data, file, indent=4)
            os.replace(beside, self.path)

    def answered(self):
        answer = dict(contract.load("options") if lies.tells("options-ignored") else self.data)
        if lies.tells("stale-hash"):
            answer["sd_checkpoint_hash"] = stale_hash
        return answer
