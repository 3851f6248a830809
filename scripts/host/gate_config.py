"""What the gate is told, by the step gate: a JSON file without secrets, and the login's own file."""
import json
import os
import stat
from dataclasses import dataclass, fields


class BadConfig(Exception):
    pass


@dataclass(frozen=True)
class Config:
    # Where it listens, and where on 127.0.0.1 the WebUI does.
    listen: str
    port: int
    inner_port: int
    # Paths: the file with user:password, the WebUI's log, the gate's own.
    credentials: str
    webui_log: str
    log: str
    # Drawing calls that may wait, besides the one that is drawn.
    queue: int
    # Seconds that callers who give up by themselves may wait; 0: no limit.
    deadline: float
    # Whether a picture that nobody waits for any more is broken off.
    interrupt: bool


def read_config(path):
    """The Config in this file; raises BadConfig."""
    try:
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError) as error:
        raise BadConfig(f"{path} can't be read ({error}); apply the step gate again") from error
    kinds = {field.name: field.type for field in fields(Config)}
    if not isinstance(told, dict) or set(told) != set(kinds):
        raise BadConfig(f"{path} should hold {', '.join(kinds)}, and nothing else")
    for name, kind in kinds.items():
        value = told[name]
        right = isinstance(value, bool) if kind is bool else isinstance(value, (int, kind)) and not isinstance(value, bool)
        if not right or (kind is not str and value < 0):
            raise BadConfig(f"{path}: {name} is {value!r}; wanted: {kind.__name__}")
    return Config(**told)


def read_login(path):
    """`user:password` as bytes; raises BadConfig. Read once: another login restarts the gate."""
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read().strip()
    except OSError as error:
        raise BadConfig(f"the credentials in {path} can't be read ({error.strerror}); apply the config step again") from error
    if mode & 0o077:
        raise BadConfig(f"the credentials in {path} can be read by others (mode {mode:04o}); make it 0600")
    user, colon, password = text.partition(b":")
    if not (user and colon and password) or b"\n" in text:
        raise BadConfig(f"the credentials in {path} are not one line user:password")
    return text
