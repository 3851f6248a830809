"""Checkpoints: the list, the names they answer to, and the one that is loaded."""

import os
import re
import threading
import time

from modules import checkpoint_file, hashes, lies, tokenizer

load_seconds = float(os.environ.get("ATELIER_STANDIN_LOAD_SECONDS", "0.2"))


class Checkpoint:
    def __init__(self, path, root):
        self.filename = path
        self.name = os.path.relpath(path, root).replace("\\", "/")
        self.model_name = os.path.splitext(self.name.replace("/", "_"))[0]
        self.stem = os.path.splitext(os.path.basename(path))[0]
        self.sha256 = hashes.cached(path)

    @property
    def base(self):
        """The family of models, told by a tensor that only SDXL has."""
        return "sdxl" if checkpoint_file.has_tensor(self.filename, "conditioner.") else "sd15"

    @property
    def shorthash(self):
        return self.sha256[:10] if self.sha256 else None

    @property
    def title(self):
        return f"{self.name} [{self.shorthash}]" if self.shorthash else self.name

    def names(self):
        words = [self.name, self.title, self.stem, self.model_name, self.filename]
        return words + ([self.shorthash, self.sha256, f"{self.stem} [{self.shorthash}]"] if self.shorthash else [])

    def answered(self):
        return {
            "title": self.title,
            "model_name": self.model_name,
            "hash": self.shorthash,
            "sha256": self.sha256,
            "filename": self.filename,
            "config": None,
        }


class Models:
    def __init__(self, opts, folders, pinned):
        self.opts = opts
        self.folders = folders
        self.pinned = pinned
        self.lock = threading.RLock()
        self.checkpoints = []
        self.aliases = {}
        self.current = None
        # After a failed switch the real one draws no new prompt until another model is loaded.
        self.broken_by = None
        self.refresh()

    def refresh(self):
        found = []
        if self.pinned and os.path.isfile(self.pinned):
            found.append(Checkpoint(os.path.abspath(self.pinned), os.path.dirname(os.path.abspath(self.pinned))))
        for folder in self.folders:
            for parent, folders, files in os.walk(folder, followlinks=True):
                folders.sort()
                for file in sorted(files):
                    path = os.path.join(parent, file)
                    if file.endswith((".ckpt", ".safetensors")) and all(path != other.filename for other in found):
                        found.append(Checkpoint(path, folder))
        self.checkpoints = found
        self.aliases = {name: checkpoint for checkpoint in found for name in checkpoint.names()}
        # With --ckpt, the real one silently goes back to that file.
        if self.pinned and found and found[0].filename == os.path.abspath(self.pinned):
            self.opts.set("sd_model_checkpoint", found[0].title)

    def find(self, text):
        """The checkpoint that a name means: an alias, else the shortest title that holds it."""
        if not text:
            return None
        for candidate in (text, re.sub(r"\s*\[[^]]+]\s*$", "", text)):
            if candidate in self.aliases:
                return self.aliases[candidate]
            close = sorted((c for c in self.checkpoints if candidate in c.title), key=lambda c: len(c.title))
            if close:
                return close[0]
        return None

    def selected(self):
        """The checkpoint of the options, else the first. Raises FileNotFoundError when there is none."""
        wanted = None if lies.tells("unknown-checkpoint-200") else self.find(self.opts["sd_model_checkpoint"])
        if wanted:
            return wanted
        if not self.checkpoints:
            places = "".join(f"\n - directory {folder}" for folder in self.folders)
            raise FileNotFoundError(
                f"No checkpoints found. When searching for checkpoints, looked at:{places}Can't run without a checkpoint. "
                "Find and place a .ckpt or .safetensors file into any of those locations."
            )
        if self.opts["sd_model_checkpoint"]:
            print(f"Checkpoint {self.opts['sd_model_checkpoint']} not found; loading fallback {self.checkpoints[0].title}")
        return self.checkpoints[0]

    def is_current(self, checkpoint):
        return self.current is not None and self.current.filename == checkpoint.filename

    def load(self, checkpoint):
        """Makes a checkpoint the current one. Raises when its file or the tokenizer is not whole."""
        with self.lock:
            if self.is_current(checkpoint) and not self.broken_by:
                return
            started = time.monotonic()
            while lies.tells("model-never-loads"):
                time.sleep(0.1)
            checkpoint.sha256 = hashes.sha256(checkpoint.filename)
            self.aliases.update({name: checkpoint for name in checkpoint.names()})
            print(f"Loading weights [{checkpoint.shorthash}] from {checkpoint.filename}")
            checkpoint_file.check(checkpoint.filename)
            tokenizer.load()
            time.sleep(load_seconds)
            self.current = checkpoint
            self.broken_by = None
            self.opts.set("sd_model_checkpoint", checkpoint.title)
            self.opts.set("sd_checkpoint_hash", checkpoint.sha256)
            self.opts.save()
            seconds = time.monotonic() - started
            print(f"Model loaded in {seconds:.1f}s (load weights from disk: {seconds:.1f}s). REHEARSAL: a stand-in.")

    def load_selected(self):
        """The model that pictures are drawn with, loaded when it is not yet."""
        with self.lock:
            if self.current is None:
                self.load(self.selected())
            return self.current

    def switch(self, name):
        """As the option does: a file that can't be loaded leaves the old model, and says nothing but in the log."""
        with self.lock:
            if lies.tells("unknown-checkpoint-200"):
                return
            wanted = self.aliases.get(name)
            if wanted is None:
                raise RuntimeError(f"model {name!r} not found")
            if self.is_current(wanted):
                return
            before = self.opts["sd_model_checkpoint"]
            try:
                self.load(wanted)
            except Exception as error:  # noqa: BLE001
                print(f"changing setting sd_model_checkpoint to {name}: {type(error).__name__}\n{error}")
                self.opts.set("sd_model_checkpoint", before)
                if self.current is not None:
                    self.broken_by = wanted

    def unload(self):
        with self.lock:
            self.current = None
