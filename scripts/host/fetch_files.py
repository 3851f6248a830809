"""The store of files by their sha256, and what a file must look like before it gets its name."""
import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import struct
import sys
import threading
import time

# Whoever fetches a file and writes nothing of it for so long hangs: no source is waited for as long, and the largest model is read again in less on a slow disk.
HUNG_S = float(os.environ.get("ATELIER_FETCH_HUNG_S", "1800"))

# Of so many addresses at most, all orders are looked for.
ORDERS = 6


class Bad(Exception):
    """Something is wrong with a file or its source; the text is for people."""


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def inspect(path, name):
    """Raises Bad when the file can't be what its name says: a page instead of it, a pointer, a torn or hollow safetensors file."""
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        head = stream.read(512)
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise Bad("a web page came instead of the file (a login or an error page?)")
    if head.startswith(b"version https://git-lfs"):
        raise Bad("a git-lfs pointer came instead of the file")
    if not size:
        raise Bad("it is empty")
    if name.endswith(".safetensors"):
        inspect_safetensors(path, size)
    elif name.endswith((".ckpt", ".pt", ".pth", ".bin")):
        if not head.startswith((b"PK\x03\x04", b"\x80")):
            raise Bad("it is no torch checkpoint (neither a zip nor a pickle)")
        if head.startswith(b"PK") and not _whole_zip(path):
            raise Bad("it is a torn torch checkpoint (a zip without its end)")


def _whole_zip(path):
    # Only a ckpt needs it, and it takes long to load.
    import zipfile

    return zipfile.is_zipfile(path)


def inspect_safetensors(path, size):
    with open(path, "rb") as stream:
        length = struct.unpack("<Q", stream.read(8).ljust(8, b"\0"))[0]
        if not 2 <= length <= min(size - 8, 100_000_000):
            raise Bad(f"it is no safetensors file (header of {length} bytes in a file of {size})")
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise Bad(f"its safetensors header can't be read ({error})") from error
    if 8 + length + max(ends, default=0) != size:
        raise Bad(f"it has {size} bytes; its safetensors header wants {8 + length + max(ends, default=0)}")


def room(cache, missing, fail=None):
    """What is missing must fit, with a little left: a full disk breaks more than this download."""
    disk = os.statvfs(cache)
    free = disk.f_bavail * disk.f_frsize
    if missing > 0 and free < missing + 200_000_000:
        why = Bad(
            f"{missing // 1_000_000} MB are still to be fetched and {cache} has {free // 1_000_000} MB free: "
            "free some, or set host.cache to a larger disk"
        )
        if fail is None:
            raise why
        fail(why)


def _named(name, urls):
    return "url-" + hashlib.sha256((name + "\n" + " ".join(urls)).encode()).hexdigest()[:32]


def _take(lock):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _holder(lock):
    """Who took the lock, or the aria2c to which it left it. Behind a shared disk it may be nobody of this machine."""
    lock.seek(0)
    pids = lock.read().split()
    alive = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    return f"process {(alive or pids or ['?'])[0]}"


class Store:
    def __init__(self, cache):
        self.cache = cache
        for folder in ("sha256", "fetch"):
            os.makedirs(os.path.join(cache, folder), exist_ok=True)

    def path(self, sha256):
        return os.path.join(self.cache, "sha256", sha256)

    def key(self, file):
        """What stands for the file while its content is not known: its addresses, in whichever order this host likes them best today."""
        return file["sha256"] or _named(file["name"], sorted(file["urls"]))

    def adopt(self, file):
        """Gives what lies under the names that the file had when the order of its addresses counted the one that it has now."""
        if file["sha256"] or len(file["urls"]) > ORDERS:
            return
        there = {}
        for name in os.listdir(os.path.join(self.cache, "fetch")):
            there.setdefault(name.split(".")[0], []).append(name)
        for order in itertools.permutations(file["urls"]):
            old = _named(file["name"], order)
            if old in there and old != self.key(file):
                self._rename(os.path.join(self.cache, "fetch", old), file)

    def _rename(self, old, file):
        with open(old + ".lock", "a+") as lock:
            if not _take(lock):
                # An earlier version of this program is at work on it.
                return
            # A partial file and its journal stay together.
            for kinds in (("seen",), ("json", "part")):
                if not any(os.path.exists(self.partial(file, kind)) for kind in kinds):
                    for kind in kinds:
                        with contextlib.suppress(OSError):
                            os.replace(f"{old}.{kind}", self.partial(file, kind))
            os.remove(old + ".lock")

    def partial(self, file, kind="part"):
        return os.path.join(self.cache, "fetch", f"{self.key(file)}.{kind}")

    def begun(self, file):
        """Bytes on the disk of what was begun: partial files have holes."""
        sizes = [0]
        for kind in ("part", "aria2part"):
            with contextlib.suppress(OSError):
                sizes.append(os.stat(self.partial(file, kind)).st_blocks * 512)
        return max(sizes)

    @contextlib.contextmanager
    def alone(self, file):
        """One process at a time works on a partial file; workspaces may share a cache. Gives the lock's descriptor. Bad where its holder hangs."""
        # Opened to be added to: the holder's pid is in it.
        with open(self.partial(file, "lock"), "a+") as lock:
            before, since = None, 0.0
            while not _take(lock):
                now, state = time.monotonic(), self._state(file)
                if before is None:
                    print(f"models: {file['name']}: {_holder(lock)} is fetching it; waiting for that", file=sys.stderr, flush=True)
                if state != before:
                    before, since = state, now
                if now - since > HUNG_S:
                    who = _holder(lock)
                    raise Bad(
                        f"{who} holds it ({lock.name}) and has brought nothing for {HUNG_S:.0f} s: "
                        f"see what it does, end it (kill -9 {who.split()[-1]}), and run again; what it fetched is kept"
                    )
                time.sleep(0.2)
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield lock.fileno()

    def _state(self, file):
        """Changes with every byte that is written of it."""
        seen = []
        for kind in ("part", "aria2part"):
            with contextlib.suppress(OSError):
                status = os.stat(self.partial(file, kind))
                seen.append((kind, status.st_size, status.st_blocks, status.st_mtime_ns))
        return seen

    def seen(self, file):
        """The sha256 recorded at the first download of a file that the catalog gives none for."""
        try:
            with open(self.partial(file, "seen")) as stream:
                return stream.read().strip()
        except OSError:
            return None

    def has(self, file):
        """Whether a file of that name is in the store; `find` looks closer."""
        return os.path.exists(self.path(file["sha256"] or self.seen(file) or "-"))

    def find(self, file):
        """(sha256, bytes, path) of a whole file in the store, or None. A file that was changed since is read again in full."""
        sha256 = file["sha256"] or self.seen(file)
        if not sha256:
            return None
        path = self.path(sha256)
        try:
            status = os.stat(path)
        except OSError:
            return None
        mark = f"{status.st_size} {status.st_mtime_ns}"
        try:
            with open(path + ".ok") as stream:
                known = stream.read()
        except OSError:
            known = ""
        if known != mark:
            if sha256_of(path) != sha256:
                os.replace(path, self.partial(file, "damaged"))
                return None
            self._write(path + ".ok", mark)
        if file["bytes"] not in (None, status.st_size):
            raise Bad(f"the file with sha256 {sha256} has {status.st_size} bytes, the catalog says {file['bytes']}")
        inspect(path, file["name"])
        return sha256, status.st_size, path

    def admit(self, partial, file, sha256, expected):
        """Gives a finished download its name, if it is what was wanted; Bad says why not."""
        size = os.path.getsize(partial)
        if file["bytes"] not in (None, size):
            raise Bad(f"it has {size} bytes; wanted: {file['bytes']}")
        inspect(partial, file["name"])
        if sha256 != (expected or sha256):
            raise Bad(f"its sha256 is {sha256}; wanted: {expected}")
        os.chmod(partial, 0o644)
        with open(partial, "rb") as stream:
            os.fsync(stream.fileno())
        path = self.path(sha256)
        os.replace(partial, path)
        status = os.stat(path)
        self._write(path + ".ok", f"{status.st_size} {status.st_mtime_ns}")
        if not file["sha256"]:
            self._write(self.partial(file, "seen"), sha256)
        return sha256, size, path

    @staticmethod
    def _write(path, text):
        # Models of the same bytes are finished side by side.
        new = f"{path}.{threading.get_ident()}.new"
        with open(new, "w") as stream:
            stream.write(text)
        os.replace(new, path)
