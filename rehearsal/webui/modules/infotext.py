"""A picture's parameters as text, in A1111's form."""

import json


def quote(value):
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(sign in text for sign in ",\n:") else text


def infotext(prompt, negative_prompt, parameters):
    """`prompt`, `Negative prompt: …` where there is one, and a line `Steps: 1, Sampler: …`."""
    line = ", ".join(
        key if key == value else f"{key}: {quote(value)}" for key, value in parameters.items() if value is not None
    )
    negative = f"\nNegative prompt: {negative_prompt}" if negative_prompt else ""
    return f"{prompt}{negative}\n{line}".strip()
