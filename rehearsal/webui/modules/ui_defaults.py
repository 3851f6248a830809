"""Defaults of the UI: ui-config.json, which the real one writes at its start where it is missing, and goes by where it knows the value."""

import json

from modules import contract, lies
from modules.shared_cmd_options import cmd_opts

# Element of the page -> (key behind the tab, the real one's own default).
elements = {
    "sampling": ("customscript/sampler.py/{}/Sampling method/value", "DPM++ 2M"),
    "scheduler": ("customscript/sampler.py/{}/Schedule type/value", "Automatic"),
    "steps": ("customscript/sampler.py/{}/Sampling steps/value", 20),
    "width": ("{}/Width/value", 512),
    "height": ("{}/Height/value", 512),
    "batch_count": ("{}/Batch count/value", 1),
    "batch_size": ("{}/Batch size/value", 1),
    "cfg_scale": ("{}/CFG Scale/value", 7.0),
}


def load():
    """Values by key, those of the file before the defaults; the file is completed."""
    try:
        with open(cmd_opts.ui_config_file, encoding="utf-8") as file:
            saved = json.load(file)
    except FileNotFoundError:
        saved = {}
    own = {key.format(tab): value for tab in ("txt2img", "img2img") for key, value in elements.values()}
    complete = {**own, **saved}
    if complete != saved:
        with open(cmd_opts.ui_config_file, "w", encoding="utf-8") as file:
            json.dump(complete, file, indent=4)
    return own if lies.tells("ui-ignored") else complete


def known(element, value):
    """A choice that is not on the list is passed over."""
    if element == "sampling":
        return value in [sampler["name"] for sampler in contract.load("samplers")]
    if element == "scheduler":
        return value in [scheduler["label"] for scheduler in contract.load("schedulers")]
    return True


def components():
    """As `/config` lists them."""
    values = load()
    listed = []
    for tab in ("txt2img", "img2img"):
        for element, (key, default) in elements.items():
            value = values[key.format(tab)]
            props = {"elem_id": f"{tab}_{element}", "value": value if known(element, value) else default}
            listed.append({"id": len(listed) + 1, "type": "dropdown" if element in ("sampling", "scheduler") else "slider", "props": props})
    return listed
