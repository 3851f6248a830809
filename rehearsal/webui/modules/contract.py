"""What the real WebUI answers, as data."""

import functools
import json
import os

folder = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "contract")


@functools.lru_cache(maxsize=None)
def load(name):
    with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as file:
        return json.load(file)


@functools.lru_cache(maxsize=None)
def schema(name):
    """The fields of a request's body: name -> {type, default}."""
    return load("openapi")["components"]["schemas"][name]["properties"]
