"""What the gate itself answers: errors in the WebUI's own form, with a sentence in them."""
import json

from aiohttp import web

# Hop by hop: they mean this connection only.
HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "trailers",
    "transfer-encoding", "upgrade", "expect",
}  # fmt: skip


def as_json(status, value, headers=None):
    return web.Response(status=status, body=json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), content_type="application/json", headers=headers)


def problem(status, name, text, retry=None, headers=None):
    """`{error, detail, body, errors}` as A1111 answers: clients read one or the other. retry: seconds after which to try again."""
    headers = dict(headers or {})
    if retry is not None:
        headers["Retry-After"] = str(max(1, round(retry)))
    return as_json(status, {"error": name, "detail": text, "body": "", "errors": text}, headers)


# A part of A1111's error -> what to do. The same faults that the proof knows.
HINTS = [
    ("NansException", "the model computes NaN on this GPU: set webui.flags to --no-half-vae, or --no-half"),
    ("out of memory", "the GPU's memory is full: draw smaller pictures or fewer at once, end other programs on it, or set webui.vram"),
    ("OutOfMemoryError", "the GPU's memory is full: draw smaller pictures or fewer at once, end other programs on it, or set webui.vram"),
    ("Found no NVIDIA driver", "no model is in working order after one failed to load: choose another checkpoint, or restart the service"),
    ("Can't load tokenizer", "the CLIP tokenizer is missing: run up again, which applies the models step"),
    ("No checkpoints found", "there is no checkpoint on the host: run up again, which applies the models step"),
    ("HeaderTooLarge", "the checkpoint's file is broken: remove it on the host and run up again"),
    ("HeaderTooSmall", "the checkpoint's file is broken: remove it on the host and run up again"),
    ("MetadataIncompleteBuffer", "the checkpoint's file is cut short: remove it on the host and run up again"),
    ("UnpicklingError", "the checkpoint's file is broken: remove it on the host and run up again"),
    ("Invalid encoded image", "an image of the request is not base64 of a PNG or JPEG"),
    ("could not find upscaler", "GET /sdapi/v1/upscalers lists the upscalers that are there"),
]


def hint(text):
    for part, what in HINTS:
        if part in text:
            return what
    return ""


def explained(status, body, kind):
    """An error of the WebUI with its reason in `detail`, whatever form it came in. body: bytes."""
    text = body.decode("utf-8", "replace")
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if isinstance(told, dict) and told.get("error"):
        said = str(told.get("errors") or told.get("detail") or "")
        detail = told.get("detail") or f"{told['error']}: {said}".rstrip(": ")
    else:
        # Starlette's last resort is plain text, a proxy's a page; neither is of use to a program.
        said = " ".join(text.split())[:300] if "html" not in kind and "<html" not in text[:300].lower() else ""
        told = {"error": "InternalServerError", "body": "", "errors": said}
        detail = f"The WebUI answered {status} {said or 'without a reason'}; its log (logs/webui.log) has the whole error"
    what = hint(f"{told.get('error')} {said} {detail}")
    if isinstance(detail, str):
        told["detail"] = f"{detail}: {what}" if what and what not in detail else detail
    return as_json(status, told)
