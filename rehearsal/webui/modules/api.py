"""/sdapi/v1: each call as the real one answers it."""

import json

from PIL import Image

from modules import cmd_args, contract, extensions, lies, lora, picture, scripts, sd_vae, upscalers, validate
from modules.auth import check_api
from modules.errors import HTTPException
from modules.processing import process
from modules.shared_cmd_options import cmd_opts
from modules.sysinfo import memory

fixed = ["samplers", "schedulers", "latent-upscale-modes", "face-restorers", "realesrgan-models"]
empty_lists = ["hypernetworks", "prompt-styles"]


def add_api(app, shared, users):
    """Adds the routes one by one, as the real one does."""

    def add(method, name, handler):
        def checked(request):
            # A body that is no JSON is refused before the password is looked at.
            body = validate.parse(request.body) if method == "POST" and name in with_body else None
            check_api(request, users)
            return handler(request) if body is None else handler(body)

        app.add(method, f"/sdapi/v1/{name}", checked)

    def answers(value):
        return lambda _: value

    with_body = {"txt2img", "img2img", "options", "extra-single-image", "extra-batch-images", "png-info", "interrogate"}
    add("POST", "txt2img", lambda body: generate(body, shared, "scripts_txt2img"))
    add("POST", "img2img", lambda body: generate(body, shared, "scripts_img2img"))
    add("POST", "extra-single-image", extra_single)
    add("POST", "extra-batch-images", extra_batch)
    add("POST", "png-info", png_info)
    add("POST", "interrogate", interrogate)
    add("GET", "progress", lambda request: progress(request, shared))
    add("POST", "interrupt", lambda _: interrupt(shared))
    add("POST", "skip", lambda _: setattr(shared.state, "skipped", True))
    add("GET", "options", lambda _: shared.opts.answered())
    add("POST", "options", lambda body: set_options(body, shared))
    add("GET", "cmd-flags", lambda _: cmd_args.as_answered(cmd_opts))
    add("GET", "scripts", lambda _: scripts.answered())
    add("GET", "script-info", lambda _: scripts.info())
    add("GET", "extensions", lambda _: extensions.answered(shared.opts))
    add("GET", "loras", lambda _: lora.answered())
    add("GET", "sd-vae", lambda _: sd_vae.answered())
    add("GET", "upscalers", lambda _: upscalers.answered())
    for name in fixed:
        add("GET", name, answers(contract.load(name)))
    for name in empty_lists:
        add("GET", name, answers([]))
    add("GET", "embeddings", answers({"loaded": {}, "skipped": {}}))
    add("GET", "sd-models", lambda _: [checkpoint.answered() for checkpoint in shared.models.checkpoints])
    add("POST", "refresh-checkpoints", lambda _: shared.models.refresh())
    add("POST", "refresh-loras", lambda _: lora.refresh())
    for name in ("refresh-embeddings", "refresh-vae"):
        add("POST", name, answers(None))
    add("GET", "memory", lambda _: memory())
    add("POST", "unload-checkpoint", lambda _: shared.models.unload() or {})
    add("POST", "reload-checkpoint", lambda _: {} if shared.models.load_selected() else {})
    # The real extension asks for no password; the hosts' starter does, before it.
    for script in scripts.loaded:
        script.add_api(app, shared, lambda handler: guarded(handler, users))
    if cmd_opts.api_server_stop:
        for name in ("server-stop", "server-kill", "server-restart"):
            add("POST", name, lambda _: shared.stop())


def guarded(handler, users):
    def checked(request):
        if not lies.tells("open-controlnet"):
            check_api(request, users)
        return handler(request)

    return checked


def generate(body, shared, job):
    names = {"scripts_txt2img": "StableDiffusionProcessingTxt2Img", "scripts_img2img": "StableDiffusionProcessingImg2Img"}
    request = validate.check(body, names[job])
    with shared.queue:
        images, info = process(request, shared, job)
    if not request["send_images"]:
        images = []
    answered = dict(request)
    if job == "scripts_img2img" and not request["include_init_images"]:
        answered["init_images"] = None
        answered["mask"] = None
    return {"images": images, "parameters": answered, "info": json.dumps(info, ensure_ascii=False)}


def progress(request, shared):
    skip = str(request.query.get("skip_current_image", "false")).lower()
    if skip not in validate.truths:
        raise validate.ValidationError([validate.mistake(["query", "skip_current_image"], *validate.messages["boolean"])])
    return shared.state.answered(with_image=not validate.truths[skip])


def interrupt(shared):
    shared.state.interrupted = True
    return {}


def set_options(body, shared):
    if not isinstance(body, dict):
        raise validate.ValidationError([validate.mistake(["body"], *validate.messages["object"])])
    wanted = body.get("sd_model_checkpoint")
    unknown = wanted is not None and wanted not in shared.models.aliases
    if unknown and not lies.tells("unknown-checkpoint-200"):
        raise RuntimeError(f"model {wanted!r} not found")
    for key, value in body.items():
        if key == "sd_model_checkpoint" and value is not None:
            with shared.queue:
                shared.models.switch(value)
        else:
            shared.opts.set(key, value)
    shared.opts.save()


def decode(text):
    try:
        return picture.decode(text)
    except ValueError as error:
        raise HTTPException(500, str(error)) from None


def upscale(image, request):
    names = [upscaler["name"] for upscaler in upscalers.answered()]
    name = request["upscaler_1"]
    # Without the assert statement: `python -O` would take it away.
    if name not in names:
        raise AssertionError(f"could not find upscaler named {name}")
    if request["resize_mode"] == 1:
        size = request["upscaling_resize_w"], request["upscaling_resize_h"]
    else:
        size = tuple(int(side * request["upscaling_resize"]) for side in image.size)
    texts = {key: value for key, value in image.info.items() if isinstance(value, str)}
    # Models that can't be downloaded leave a plainly resized picture.
    resized = image.convert("RGB").resize(size, Image.NEAREST if name == "Nearest" else Image.LANCZOS)
    what = f"Postprocess upscale by: {request['upscaling_resize']:g}, Postprocess upscaler: {name}"
    return picture.encode(resized, {**texts, "postprocessing": what}), f"<p>{what}</p>"


def extra_single(body):
    request = validate.check(body, "ExtrasSingleImageRequest")
    encoded, told = upscale(decode(request["image"]), request)
    return {"html_info": told, "image": encoded}


def extra_batch(body):
    request = validate.check(body, "ExtrasBatchImagesRequest")
    done = [upscale(decode(item["data"]), request) for item in request["imageList"] or []]
    return {"html_info": done[-1][1] if done else "", "images": [encoded for encoded, _ in done]}


def png_info(body):
    request = validate.check(body, "PNGInfoRequest")
    try:
        info = picture.decode(request["image"] or "").info
    except ValueError:
        raise HTTPException(500, "Invalid encoded image") from None
    text = info.get("parameters", "")
    return {"info": text, "items": {"parameters": text} if text else {}, "parameters": {}}


def interrogate(body):
    request = validate.check(body, "InterrogateRequest")
    if not request["image"]:
        raise HTTPException(404, "Image not found")
    decode(request["image"])
    if request["model"] not in ("clip", "deepdanbooru"):
        raise HTTPException(404, "Model not found")
    return {"caption": "REHEARSAL: nothing looks at pictures here"}
