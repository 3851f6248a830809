"""Checkpoints and all the names that they go by."""
import os
import re
import time

from gate_upstream import Unreachable

# A list this old is asked for again; a name that is not on it, sooner.
OLD_S = 30
UNKNOWN_OLD_S = 1
HASH = re.compile(r"\s*\[([0-9a-f]+)\]$")


class Checkpoint:
    def __init__(self, told):
        self.title = told["title"]
        # Without the hash: the one name that no load changes.
        self.name = HASH.sub("", self.title)
        self.filename = told.get("filename") or ""
        self.hash = told.get("hash")
        stem = os.path.splitext(self.name)[0]
        base = os.path.basename(self.filename)
        words = {self.name, stem, told.get("model_name"), os.path.basename(stem), os.path.basename(self.name), base, os.path.splitext(base)[0], self.filename}
        self.names = {word for word in words if word}
        self.hashes = {word for word in (self.hash, told.get("sha256")) if word}

    def __eq__(self, other):
        # Lists are asked for anew; their entries are the same files.
        return isinstance(other, Checkpoint) and (self.name, self.filename) == (other.name, other.filename)

    __hash__ = None

    def goes_by(self, text):
        """Title, name, model_name, file, stem or hash; with a hash behind a name, that hash must not be another's."""
        if text in self.names or text in self.hashes or text == self.title:
            return True
        hashed = HASH.search(text)
        if not hashed or HASH.sub("", text) not in self.names:
            return False
        return not self.hashes or any(known.startswith(hashed[1]) or hashed[1].startswith(known) for known in self.hashes)


class Checkpoints:
    def __init__(self, upstream):
        self.upstream = upstream
        self.known = []
        self.asked = None
        # What names of several meant; as old as the list.
        self.choices = {}

    async def listed(self, age=OLD_S):
        """Raises Unreachable."""
        if self.asked is None or time.monotonic() - self.asked > age:
            status, told = await self.upstream.ask("/sdapi/v1/sd-models")
            if status != 200 or not isinstance(told, list):
                raise Unreachable(f"GET /sdapi/v1/sd-models answered {status}")
            self.known = [Checkpoint(one) for one in told]
            self.choices = {}
            self.asked = time.monotonic()
        return self.known

    def forget(self):
        """The list has changed, or may have."""
        self.asked = None

    async def called(self, text):
        """Those that a name may mean: none for an unknown one, several where two files share a stem."""
        found = [one for one in await self.listed() if one.goes_by(text)]
        if not found:
            found = [one for one in await self.listed(UNKNOWN_OLD_S) if one.goes_by(text)]
        return found

    async def chosen(self, text):
        """The one that a name means: of several the one that is set already, else the safetensors. None: there is no such."""
        found = await self.called(text)
        if len(found) > 1 and text not in self.choices:
            now = await self.current()
            exact = sorted(found, key=lambda one: (text not in (one.title, one.name), one != now, not one.name.endswith(".safetensors")))
            self.choices[text] = exact[0]
        return self.choices.get(text, found[0]) if found else None

    async def current(self):
        """The one that the WebUI's options name; None when they name none that is there."""
        status, options = await self.upstream.ask("/sdapi/v1/options")
        if status != 200 or not isinstance(options, dict):
            raise Unreachable(f"GET /sdapi/v1/options answered {status}")
        text = options.get("sd_model_checkpoint") or ""
        known = await self.listed()
        exact = [one for one in known if text in (one.title, one.name)]
        return next(iter(exact or [one for one in known if one.goes_by(text)]), None)

    def unknown(self, text):
        """What to say of a name that is none."""
        names = sorted(one.name for one in self.known)
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        return f"There is no checkpoint {text!r}; there are: {', '.join(names[:20])}{more}" if names else f"There is no checkpoint {text!r}, nor any other"
