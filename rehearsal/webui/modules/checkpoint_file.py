"""Whether a checkpoint's file is whole: the only thing of it that the stand-in reads."""

import json
import os
import struct
import zipfile


class SafetensorError(Exception):
    pass


class UnpicklingError(Exception):
    pass


def check(path):
    """Raises what the real one's loaders raise for a cut, empty or foreign file."""
    if path.endswith(".safetensors"):
        _check_safetensors(path)
    elif not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            start = file.read(1)
        if not start:
            raise EOFError("Ran out of input")
        raise UnpicklingError(f"invalid load key, {start.decode('latin-1')!r}.")


def has_tensor(path, prefix):
    """Whether a sound safetensors file has a tensor whose name begins so."""
    if not path.endswith(".safetensors"):
        return False
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return any(name.startswith(prefix) for name in json.loads(file.read(length)))


def _check_safetensors(path):
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise SafetensorError("Error while deserializing header: HeaderTooSmall")
        (length,) = struct.unpack("<Q", prefix)
        if length > min(size, 100_000_000):
            raise SafetensorError("Error while deserializing header: HeaderTooLarge")
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise SafetensorError("Error while deserializing header: InvalidHeaderDeserialization") from None
    end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    if 8 + length + end != size:
        raise SafetensorError("Error while deserializing header: MetadataIncompleteBuffer")
