"""The pictures: noise from a seed, with the word REHEARSAL in it; the same on every machine."""

import base64
import hashlib
import io

from PIL import Image, ImageFilter
from PIL.PngImagePlugin import PngInfo

# Five columns by seven rows a letter.
font = {
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "L": "10000 10000 10000 10000 10000 10000 11111",
}
word = "REHEARSAL"


def _noise(key, width, height):
    return Image.frombytes("RGB", (width, height), hashlib.shake_256(key).digest(width * height * 3))


def draw(width, height, *what):
    """A picture that depends on all of `what`: soft clouds, finer noise, and the word."""
    key = repr((width, height, what)).encode()
    size = (width, height)
    clouds = _noise(key + b"clouds", max(2, width // 64 + 2), max(2, height // 64 + 2)).resize(size, Image.BICUBIC)
    grain = _noise(key + b"grain", max(2, width // 8), max(2, height // 8)).resize(size, Image.BILINEAR)
    return label(Image.blend(clouds, grain, 0.35))


def label(picture):
    """Writes REHEARSAL into the lower part, on a dark band."""
    letters = Image.new("L", (len(word) * 6 - 1, 7))
    for index, letter in enumerate(word):
        for y, row in enumerate(font[letter].split()):
            for x, dot in enumerate(row):
                if dot == "1":
                    letters.putpixel((index * 6 + x, y), 255)
    width, height = picture.size
    scale = max(1, min((width * 9 // 10) // letters.width, height // 3 // 7))
    letters = letters.resize((letters.width * scale, letters.height * scale), Image.NEAREST)
    band = max(0, height - letters.height - 4 * scale)
    picture.paste((16, 16, 24), (0, band, width, min(height, band + letters.height + 2 * scale)))
    picture.paste((240, 240, 240), ((width - letters.width) // 2, band + scale), letters)
    return picture


def repaint(before, after, mask, blur):
    """Inpainting: `after` where the mask is white, `before` elsewhere, exactly, but for the blur around the mask."""
    white = mask.convert("L").point(lambda value: 255 if value > 127 else 0)
    if blur > 0:
        reach = 2 * int(2.5 * blur + 0.5) + 1
        near = white.filter(ImageFilter.MaxFilter(reach))
        soft = white.filter(ImageFilter.GaussianBlur(blur))
        soft.paste(0, mask=near.point(lambda value: 255 - value))
        white = soft
    return Image.composite(after, before, white)


def decode(text):
    """Raises ValueError for anything that is no picture in base64; `data:` URIs are taken too."""
    if text.startswith("data:"):
        text = text.split(",", 1)[-1]
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(text)))
        picture.load()
        return picture
    except Exception:  # noqa: BLE001
        raise ValueError("Invalid encoded image") from None


def encode(picture, texts=None, form="png"):
    if form != "png":
        return written(picture.convert("RGB"), "WEBP" if form == "webp" else "JPEG")
    info = PngInfo()
    for key, value in (texts or {}).items():
        info.add_text(key, value)
    return written(picture, "PNG", pnginfo=info)


def written(picture, form, **how):
    buffer = io.BytesIO()
    picture.save(buffer, form, **how)
    return base64.b64encode(buffer.getvalue()).decode()
