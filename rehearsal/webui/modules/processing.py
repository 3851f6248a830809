"""txt2img and img2img: from a validated request to pictures and what is told of them."""

import itertools
import os
import random
import time

from PIL import Image

from modules import lies, lora, picture, samplers, scripts, sd_vae
from modules.errors import HTTPException
from modules.infotext import infotext
from modules.launch_utils import git_tag

step_seconds = float(os.environ.get("ATELIER_STANDIN_STEP_SECONDS", "0.01"))
turns = itertools.count(1)


def process(request, shared, job):
    """Raises what the real one raises. `shared` holds the models, the options and the state."""
    init, mask = images_of(request) if job == "scripts_img2img" else (None, None)
    settings = request["override_settings"] or {}
    shared.opts.held = bool(settings)
    restore = {}
    try:
        restore = use_settings(settings, shared)
        model = shared.models.load_selected()
        refuse_broken_model(shared.models)
        return draw_all(request, shared, job, model, init, mask)
    finally:
        if request["override_settings_restore_afterwards"]:
            for key, value in restore.items():
                if key == "sd_model_checkpoint":
                    shared.models.switch(value)
                else:
                    shared.opts.set(key, value)
        shared.opts.held = False


def use_settings(settings, shared):
    """Applies override_settings; gives what they replaced. An unknown checkpoint is ignored."""
    restore = {}
    for key, value in settings.items():
        if key == "sd_model_checkpoint":
            wanted = shared.models.aliases.get(value)
            if wanted is None or shared.models.is_current(wanted) or lies.tells("override-ignored"):
                continue
            restore[key] = shared.models.load_selected().title
            shared.models.switch(value)
        else:
            restore[key] = shared.opts[key]
            shared.opts.set(key, value)
    return restore


def refuse_broken_model(models):
    if models.broken_by:
        raise RuntimeError(
            "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver "
            "from http://www.nvidia.com/Download/index.aspx"
        )


def images_of(request):
    if not request["init_images"]:
        raise HTTPException(404, "Init image not found")
    try:
        init = picture.decode(request["init_images"][0]).convert("RGB")
        mask = picture.decode(request["mask"]).convert("L") if request["mask"] else None
    except ValueError as error:
        raise HTTPException(500, str(error)) from None
    return init, mask


class Drawing:
    """What LoRAs and scripts may change before a picture is drawn."""

    def __init__(self, request, model):
        self.model = model
        self.prompt = request["prompt"]
        # What changes the picture, besides the request.
        self.effects = []
        # (picture, weight) that the drawn one is held to.
        self.control = None
        # Pictures that come along with the drawn ones.
        self.maps = []
        # Entries of the text behind those of the request.
        self.parameters = {}


def draw_all(request, shared, job, model, init, mask):
    width, height = request["width"] // 8 * 8, request["height"] // 8 * 8
    steps, count = request["steps"], request["n_iter"] * request["batch_size"]
    if width <= 0 or height <= 0:
        raise RuntimeError("Calculated padded input size per channel: (0 x 0). Kernel size can't be greater than actual input size")
    if steps <= 0:
        raise ZeroDivisionError("division by zero")
    asked = request["sampler_name"] or request["sampler_index"]
    sampler, _, schedule = samplers.resolve(asked, request["scheduler"])
    seed = request["seed"] if request["seed"] not in (-1, None) else random.randrange(4294967294)
    subseed = request["subseed"] if request["subseed"] not in (-1, None) else random.randrange(4294967294)
    if request.get("enable_hr"):
        width = int(request["hr_resize_x"] or width * request["hr_scale"]) // 8 * 8
        height = int(request["hr_resize_y"] or height * request["hr_scale"]) // 8 * 8

    drawing = Drawing(request, model)
    lora.apply(drawing)
    scripts.run(drawing, request["alwayson_scripts"])
    vae = sd_vae.chosen(shared.opts)
    skip = shared.opts["CLIP_stop_at_last_layers"]
    if vae[0] or skip > 1:
        drawing.effects.append((*vae, skip))

    shared.state.begin(job, request["n_iter"], steps)
    stamp = shared.state.job_timestamp
    pictures, texts = [], []
    try:
        for index in range(count):
            parameters = parameters_of(request, drawing, vae, skip, sampler, schedule, seed + index, mask)
            done = sample(shared.state, steps)
            subject = (
                seed + index,
                drawing.prompt.strip(),
                request["negative_prompt"],
                done,
                sampler,
                schedule,
                request["cfg_scale"],
                model.sha256,
            )
            subject += tuple(drawing.effects)
            if lies.tells("different-seed-picture"):
                subject += (next(turns),)
            drawn = picture.draw(width, height, *subject)
            if drawing.control:
                control, weight = drawing.control
                mixed = Image.blend(drawn, control.resize(drawn.size), max(0.0, min(1.0, 0.4 * weight)))
                drawn = picture.label(mixed)
            if init:
                drawn = over(init, mask, drawn, request)
            pictures.append(lied(drawn))
            texts.append(infotext(request["prompt"], request["negative_prompt"], parameters))
            shared.state.job_no = (index + 1) // request["batch_size"]
            if shared.state.interrupted:
                break
    finally:
        shared.state.end()

    plain = [{}] * len(texts) if lies.tells("no-text-chunk") else [{"parameters": text} for text in texts]
    form = shared.opts["samples_format"].lower()
    images = [picture.encode(drawn, chunk, form) for drawn, chunk in zip(pictures, plain)]
    images += [picture.encode(map, form=form) for map in drawing.maps]
    return images, info_of(request, drawing, vae, skip, sampler, schedule, seed, subseed, stamp, texts, mask)


def sample(state, steps):
    """Spends a little time on each step, so that there is a progress to see. Gives the steps done."""
    for step in range(steps):
        state.sampling_step = step
        if step == 0:
            state.preview = picture.encode(picture.draw(64, 64, state.job_timestamp))
        time.sleep(step_seconds)
        if state.interrupted or state.skipped:
            state.skipped = False
            return step + 1
    return steps


def over(init, mask, drawn, request):
    """What img2img makes of an init picture: a mix, and only where the mask is white."""
    init = init.resize(drawn.size, Image.LANCZOS) if init.size != drawn.size else init
    strength = 0.75 if request["denoising_strength"] is None else request["denoising_strength"]
    mixed = picture.label(Image.blend(init, drawn, max(0.0, min(1.0, strength))))
    if mask is None:
        return mixed
    mask = mask.resize(drawn.size) if mask.size != drawn.size else mask
    if request["inpainting_mask_invert"]:
        mask = mask.point(lambda value: 255 - value)
    if lies.tells("unmasked-changed"):
        return mixed
    return picture.repaint(init, mixed, mask, request["mask_blur"] if request["mask_blur"] is not None else request["mask_blur_x"])


def lied(drawn):
    if lies.tells("black-picture"):
        return Image.new("RGB", drawn.size)
    if lies.tells("flat-picture"):
        return Image.new("RGB", drawn.size, (127, 127, 127))
    if lies.tells("wrong-size"):
        return drawn.resize((max(8, drawn.width // 2), drawn.height))
    return drawn


def parameters_of(request, drawing, vae, skip, sampler, schedule, seed, mask):
    model = drawing.model
    inpainting = mask is not None
    return {
        "Steps": request["steps"],
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": float(request["cfg_scale"]),
        "Seed": seed,
        "Size": f"{request['width']}x{request['height']}",
        "Model hash": model.shorthash,
        "Model": model.stem,
        "VAE hash": vae[1],
        "VAE": vae[0],
        "Denoising strength": request["denoising_strength"],
        "Mask blur": (request["mask_blur"] or request["mask_blur_x"]) if inpainting else None,
        "Clip skip": skip if skip > 1 else None,
        "Hires upscale": request["hr_scale"] if request.get("enable_hr") else None,
        "Hires upscaler": (request["hr_upscaler"] or "Latent") if request.get("enable_hr") else None,
        **drawing.parameters,
        "Version": git_tag(),
    }


def info_of(request, drawing, vae, skip, sampler, schedule, seed, subseed, stamp, texts, mask):
    model, count = drawing.model, len(texts)
    extra = {"Schedule type": schedule} if schedule != "Automatic" else {}
    extra.update(drawing.parameters)
    if mask is not None:
        extra["Mask blur"] = request["mask_blur"] or request["mask_blur_x"]
    return {
        "prompt": request["prompt"],
        "all_prompts": [request["prompt"]] * count,
        "negative_prompt": request["negative_prompt"],
        "all_negative_prompts": [request["negative_prompt"]] * count,
        "seed": seed,
        "all_seeds": [seed + index for index in range(count)],
        "subseed": subseed,
        "all_subseeds": [subseed + index for index in range(count)],
        "subseed_strength": request["subseed_strength"],
        "width": request["width"],
        "height": request["height"],
        "sampler_name": sampler,
        "cfg_scale": request["cfg_scale"],
        "steps": request["steps"],
        "batch_size": request["batch_size"],
        "restore_faces": bool(request["restore_faces"]),
        "face_restoration_model": None,
        "sd_model_name": model.stem,
        "sd_model_hash": model.shorthash,
        "sd_vae_name": vae[0],
        "sd_vae_hash": vae[1],
        "seed_resize_from_w": request["seed_resize_from_w"],
        "seed_resize_from_h": request["seed_resize_from_h"],
        "denoising_strength": request["denoising_strength"],
        "extra_generation_params": extra,
        "index_of_first_image": 0,
        "infotexts": texts,
        "styles": request["styles"] or [],
        "job_timestamp": stamp,
        "clip_skip": skip,
        "is_using_inpainting_conditioning": False,
        "version": git_tag(),
    }
