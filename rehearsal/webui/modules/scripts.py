"""Scripts of extensions: loaded at the start; one that fails to load is missed by nothing but the log."""

import importlib.util
import os
import sys
import traceback

from modules import contract, extensions, lies
from modules.errors import HTTPException


class Script:
    """What an extension's script derives from."""

    alwayson = True

    def title(self):
        raise NotImplementedError

    def script_args(self):
        """Its arguments, as `GET script-info` tells them."""
        return []

    def checked(self, args):
        """Its arguments of a request, made whole; what it raises is the request's error."""
        return args

    def add_api(self, app, shared, guarded):
        """Adds routes of its own. `guarded` makes a handler ask for the API's password."""

    def process(self, drawing, args):
        """May change the drawing. What it raises goes to the log, and the picture is drawn all the same."""


loaded = []


def load(opts):
    for extension in extensions.found(opts):
        folder = os.path.join(extension.path, "scripts")
        if not extension.enabled or not os.path.isdir(folder):
            continue
        for file in sorted(name for name in os.listdir(folder) if name.endswith(".py")):
            try:
                _load(extension, os.path.join(folder, file))
            except Exception:  # noqa: BLE001
                print(f"*** Error loading script: {file}")
                traceback.print_exc()


def _load(extension, path):
    if lies.tells("extension-broken"):
        raise ModuleNotFoundError("No module named 'controlnet_aux'")
    name = f"{extension.name}.{os.path.basename(path)[:-3]}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Script) and value is not Script:
            loaded.append(value())


def answered():
    """As `GET scripts`: those of the release, and the extensions' before the last three."""
    names = [script.title().lower() for script in loaded]
    return {tab: own[:-3] + names + own[-3:] for tab, own in contract.load("scripts").items()}


def info():
    """As `GET script-info`."""
    own = [
        {"name": script.title().lower(), "is_alwayson": script.alwayson, "is_img2img": img2img, "args": script.script_args()}
        for img2img in (False, True)
        for script in loaded
    ]
    return contract.load("script-info") + own


def run(drawing, asked):
    """Lets the scripts that a request names have their say. Raises HTTPException 422 for one that is not there."""
    for name, given in (asked or {}).items():
        script = next((script for script in loaded if script.title().lower() == name.lower()), None)
        entry = next((entry for entry in info() if entry["name"].lower() == name.lower()), None)
        if entry is None:
            raise HTTPException(422, f"Script '{name}' not found")
        if not entry["is_alwayson"]:
            raise HTTPException(422, "Cannot have a selectable script in the always on scripts params")
        if script is None:
            continue
        args = script.checked(given.get("args") or [])
        try:
            script.process(drawing, args)
        except Exception:  # noqa: BLE001
            print(f"*** Error running process: {script.title()}")
            traceback.print_exc()
