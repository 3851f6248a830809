"""The lies that this stand-in can be told to tell: what the real one does on a bad day.

A comma list in the environment (ATELIER_STANDIN_LIES) or in the file `lies` of the data folder, read anew at each use.

startup-race            a request between the port's opening and the API's adding kills the API
stale-hash              options.sd_checkpoint_hash is of another model
unknown-checkpoint-200  every change of checkpoint answers 200 and changes nothing, that of the start included
unknown-sampler         an unknown sampler answers 200 (as the real one always does)
model-never-loads       the model thread hangs; every picture waits for it
black-picture           every pixel is black
flat-picture            every pixel is the same grey
wrong-size              half as wide as asked
different-seed-picture  the same seed gives another picture each time
no-text-chunk           PNGs hold no `parameters`
unmasked-changed        inpainting changes what the mask leaves alone
open-api                /sdapi asks for no password
open-config             /config, /info and /file= ask for none
scripts-refused         /file= gives no script and no style, to anyone (as gradio below a folder whose name begins with a dot)
options-ignored         config.json is not gone by
flags-ignored           the launch flags are not gone by
ui-ignored              ui-config.json is not gone by
override-ignored        a checkpoint asked for with a picture is passed over
lora-ignored            a LoRA's hash stands in the text, and changes nothing
extension-broken        the scripts of extensions fail to load, and the extensions are listed all the same
controlnet-unchanged    ControlNet's text stands there, and changes nothing
wrong-preprocessor      ControlNet's modules give back what they are given
open-controlnet         /controlnet asks for no password (as without the hosts' starter)
hang                    requests are taken and never answered
"""

import os

from modules.cmd_args import data_path

known = {line.split()[0] for line in __doc__.splitlines()[4:] if line.strip()}


def told():
    words = os.environ.get("ATELIER_STANDIN_LIES", "")
    try:
        with open(os.path.join(data_path, "lies"), encoding="utf-8") as file:
            words += "," + file.read()
    except OSError:
        pass
    return {word.strip() for word in words.replace("\n", ",").split(",")} & known


def tells(lie):
    return lie in told()
