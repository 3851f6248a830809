"""Bodies checked against the real one's openapi.json, with the answers of its pydantic (version 1)."""

import copy
import json

from modules import contract
from modules.errors import ValidationError

messages = {
    "integer": ("value is not a valid integer", "type_error.integer"),
    "number": ("value is not a valid float", "type_error.float"),
    "string": ("str type expected", "type_error.str"),
    "boolean": ("value could not be parsed to a boolean", "type_error.bool"),
    "array": ("value is not a valid list", "type_error.list"),
    "object": ("value is not a valid dict", "type_error.dict"),
}
truths = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}


def mistake(place, message, kind, **more):
    return {"loc": place, "msg": message, "type": kind, **more}


def parse(text):
    """The JSON of a body. Raises ValidationError."""
    if not text:
        raise ValidationError([mistake(["body"], "field required", "value_error.missing")])
    try:
        return json.loads(text)
    except ValueError as error:
        error = error if isinstance(error, json.JSONDecodeError) else json.JSONDecodeError("Invalid text", "", 0)
        context = {"msg": error.msg, "doc": error.doc, "pos": error.pos, "lineno": error.lineno, "colno": error.colno}
        raise ValidationError([mistake(["body", error.pos], str(error), "value_error.jsondecode", ctx=context)]) from None


def check(body, schema_name):
    """The request with every field, defaults filled in; unknown fields are dropped. Raises ValidationError."""
    if not isinstance(body, dict):
        raise ValidationError([mistake(["body"], *messages["object"])])
    checked, mistakes = {}, []
    for name, field in contract.schema(schema_name).items():
        if body.get(name) is None:
            checked[name] = copy.deepcopy(field.get("default"))
            continue
        try:
            checked[name] = convert(body[name], field.get("type"))
        except (TypeError, ValueError, OverflowError):
            mistakes.append(mistake(["body", name], *messages[field["type"]]))
    if mistakes:
        raise ValidationError(mistakes)
    return checked


def convert(value, kind):
    if kind == "integer":
        return int(value)
    if kind == "number":
        return float(value)
    if kind == "boolean":
        if isinstance(value, bool):
            return value
        return truths_of(value)
    if kind == "string":
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return str(value)
        raise TypeError
    wanted = {"array": list, "object": dict}.get(kind)
    if wanted and not isinstance(value, wanted):
        raise TypeError
    return value


def truths_of(value):
    try:
        return truths[str(value).lower()]
    except KeyError:
        raise ValueError from None
