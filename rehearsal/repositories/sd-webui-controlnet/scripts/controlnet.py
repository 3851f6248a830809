"""ControlNet's contract: its calls, its unit of arguments, its text; v1.1.455."""

import os

from PIL import ImageFilter

from modules import hashes, lies, paths, picture, scripts, validate
from modules.errors import HTTPException

folder = os.path.join(paths.models_path, "ControlNet")
# Two of many: what needs no model of its own.
modules = {"none": (0.5, 0.5), "canny": (100, 200)}
defaults = {
    "enabled": False,
    "module": "none",
    "model": "None",
    "weight": 1.0,
    "image": None,
    "resize_mode": "Crop and Resize",
    "processor_res": 512,
    "threshold_a": -1,
    "threshold_b": -1,
    "guidance_start": 0.0,
    "guidance_end": 1.0,
    "pixel_perfect": False,
    "control_mode": "Balanced",
    "save_detected_map": True,
}


def models():
    """`stem [hash]` -> path."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    files = [name for name in names if name.endswith((".pt", ".pth", ".ckpt", ".safetensors", ".bin"))]
    return {f"{os.path.splitext(name)[0]} [{hashes.sha256(os.path.join(folder, name))[:8]}]": os.path.join(folder, name) for name in files}


def detect_map(module, image):
    image = image.convert("RGB")
    if module == "none" or lies.tells("wrong-preprocessor"):
        return image
    # One pixel around, so that the picture's own border is no edge.
    edges = image.convert("L").filter(ImageFilter.FIND_EDGES).point(lambda value: 255 if value > 100 else 0)
    edges.paste(0, (0, 0, edges.width, 1))
    edges.paste(0, (0, edges.height - 1, edges.width, edges.height))
    edges.paste(0, (0, 0, 1, edges.height))
    edges.paste(0, (edges.width - 1, 0, edges.width, edges.height))
    return edges.convert("RGB")


class ValidationError(ValueError):
    pass


class ControlNet(scripts.Script):
    def title(self):
        return "ControlNet"

    def script_args(self):
        unit = {"label": "", "value": defaults, "minimum": None, "maximum": None, "step": None, "choices": None}
        return [unit] * 3

    def add_api(self, app, shared, guarded):
        def get(name, answer):
            app.add("GET", f"/controlnet/{name}", guarded(lambda _: answer()))

        get("version", lambda: {"version": 3})
        get("model_list", lambda: {"model_list": list(models())})
        get("module_list", lambda: {"module_list": list(modules), "module_detail": {name: {"sliders": []} for name in modules}})
        get("settings", lambda: {"control_net_unit_count": 3})
        app.add("POST", "/controlnet/detect", guarded(detect))

    def checked(self, args):
        """Units with every field. An unknown module is an error of the request, an unknown model is not."""
        units = [{**defaults, **unit} for unit in args if unit and unit.get("enabled")]
        for unit in units:
            if unit["module"] not in modules:
                raise ValidationError(
                    f"1 validation error for ControlNetUnit\nmodule\n  module({unit['module']}) not found in supported modules. (type=value_error)"
                )
            for field, value in zip(("threshold_a", "threshold_b"), modules[unit["module"]]):
                unit[field] = value if unit[field] < 0 else unit[field]
        return units

    def process(self, drawing, units):
        # The text is written before the model is looked for: it stands there whatever comes.
        for index, unit in enumerate(units):
            texts = {name.title().replace("_", " "): unit[name] for name in defaults if name not in ("enabled", "image", "save_detected_map")}
            drawing.parameters[f"ControlNet {index}"] = ", ".join(f"{name}: {value}" for name, value in texts.items())
        known = {name.split(" [")[0].lower(): path for name, path in models().items()}
        for unit in units:
            path = known.get(unit["model"].split(" [")[0].lower())
            if path is None:
                raise RuntimeError(f"model not found: {unit['model']}")
            if unit["image"] is None:
                raise ValueError("controlnet is enabled but no input image is given")
            image = picture.decode(unit["image"])
            control = detect_map(unit["module"], image)
            if not lies.tells("controlnet-unchanged"):
                drawing.control = (control, unit["weight"])
            if unit["save_detected_map"]:
                drawing.maps.append(control)


def detect(request):
    body = validate.parse(request.body)
    module = body.get("controlnet_module", "none")
    if module not in modules:
        raise HTTPException(422, "Module not available")
    images = body.get("controlnet_input_images") or []
    if not images:
        raise HTTPException(422, "No image selected")
    try:
        maps = [picture.encode(detect_map(module, picture.decode(image))) for image in images]
    except ValueError as error:
        raise HTTPException(500, str(error)) from None
    return {"info": "Success", "images": maps}
