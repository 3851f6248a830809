"""Downloads by aria2c, where it is on PATH: several sources and connections at once."""
import contextlib
import json
import os
import re
import struct
import threading
import urllib.parse

from fetch_files import Bad, sha256_of
from fetch_hash import Prefix
from fetch_http import STALL_S, past_accelerator

TRIES = 5
PER_SERVER = 4
AT_MOST = 12
PAGE = 65536
# Beyond the file itself it writes its record once a second, and what it says. A piece that is written again is 1 MiB.
BESIDES = 1 << 18


def fits(file, client, least):
    """aria2c sends a header on to wherever it is redirected: a file that needs the token is not for it. Nor one that no sha256 proves."""
    if os.environ.get("ATELIER_FETCH_ARIA2") == "no" or not file["sha256"] or (file["bytes"] or 0) < least:
        return False
    if len({past_accelerator(url) for url in file["urls"]}) > 1:
        # It knows one way for all that it is redirected to.
        return False
    # Loads slowly, as subprocess below: our own way starts without them.
    import shutil

    return bool(shutil.which("aria2c")) and not any(client.token_for(url) for url in file["urls"])


def download(file, store, progress, lock):
    """(path, sha256) of the finished download, which began with nothing. Goes on after a failure while that brings it further.
    aria2c inherits the descriptor `lock`: who waits for that waits for the end of an aria2c that outlives us, which would go on writing."""
    path = store.partial(file, "aria2part")
    control = Control(path, file["bytes"])
    hashing = Prefix(control)
    try:
        best = -1
        for attempt in range(TRIES):
            reached, why, wrote = _once(file, path, progress, lock)
            if why is None:
                if os.path.getsize(path) != file["bytes"]:
                    raise Bad(f"it has {os.path.getsize(path)} bytes; wanted: {file['bytes']}")
                progress.at(file, file["bytes"])
                control.finished = True
                # Another process may have begun the file anew, below what is in the sum already.
                return path, _sum(file, path, hashing, wrote if attempt == 0 else None)
            if reached <= best:
                break
            best = reached
        raise Bad(why)
    except OSError as why:
        raise Bad(f"its file can't be read ({why})") from why
    finally:
        hashing.stop()


def _sum(file, path, hashing, wrote):
    """The sha256 of the finished file. The one taken while it grew is of the bytes that lay there then: it counts where
    the process that wrote them all has ended and wrote no piece twice, by the kernel's count. Else, and where it is wrong, all is read again."""
    try:
        if wrote is not None and 0 <= wrote - file["bytes"] <= BESIDES and hashing.reads(path):
            sha256 = hashing.result()
            if sha256 == file["sha256"]:
                return sha256
    except OSError:
        pass
    return sha256_of(path)


def forget(file, store):
    """Another way brought the file, or what it brought was wrong."""
    for kind in ("aria2part", "aria2part.aria2"):
        with contextlib.suppress(OSError):
            os.remove(store.partial(file, kind))


def begun(file, store):
    """An earlier process left something."""
    return os.path.exists(store.partial(file, "aria2part"))


def hand_over(file, store):
    """What aria2c had of a file becomes the beginning of our own partial file; who served which byte is not known."""
    path = store.partial(file, "aria2part")
    have = Control(path, file["bytes"]).spans() + _written(path)
    if have and not os.path.exists(store.partial(file)):
        os.replace(path, store.partial(file))
        with open(store.partial(file, "json"), "w") as stream:
            spans = [[start, min(end, file["bytes"]), "aria2"] for start, end in sorted(map(list, have))]
            json.dump({"bytes": file["bytes"], "etag": None, "have": spans}, stream)
    forget(file, store)


def _written(path):
    """Where the file has no holes: aria2c notes its pieces once a second, the disk knows each of them."""
    spans = []
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return spans
    try:
        status = os.fstat(handle)
        # A disk that knows no holes, or a file without one, tells nothing.
        end = 0 if status.st_blocks * 512 < status.st_size else status.st_size
        while end < status.st_size:
            start = os.lseek(handle, end, os.SEEK_DATA)
            end = os.lseek(handle, start, os.SEEK_HOLE)
            # The last page may be half written.
            if end - PAGE > start:
                spans.append([start, end - PAGE])
    except (OSError, AttributeError):
        pass
    finally:
        os.close(handle)
    return spans


class Control:
    """What aria2c's own record says of a file under way; as much of Pieces as Prefix asks for."""

    def __init__(self, path, length):
        self.path, self.length, self.wiped, self.finished = path, length, 0, False
        self.known = 0
        self.lock = threading.RLock()
        if not os.path.exists(path):
            # So that it can be read from the beginning on.
            open(path, "wb").close()

    def whole(self):
        return self.finished

    def frontier(self):
        if self.finished:
            return self.length
        spans = self.spans()
        self.known = max(self.known, spans[0][1] if spans and spans[0][0] == 0 else 0)
        return self.known

    def spans(self):
        """Whole pieces, by the format that aria2's manual lays down."""
        try:
            with open(self.path + ".aria2", "rb") as stream:
                data = stream.read()
            version, _, hashes = struct.unpack_from(">H4sI", data)
            piece, length, _, bits = struct.unpack_from(">IQQI", data, 10 + hashes)
            field = data[34 + hashes : 34 + hashes + bits]
        except (OSError, struct.error):
            return []
        if version != 1 or length != self.length or len(field) != bits or not piece:
            return []
        spans = []
        for index in range((length + piece - 1) // piece):
            if field[index // 8] & (128 >> index % 8):
                end = min(length, (index + 1) * piece)
                if spans and spans[-1][1] == index * piece:
                    spans[-1][1] = end
                else:
                    spans.append([index * piece, end])
        return spans


def _once(file, path, progress, lock):
    """(percent reached, None or why it failed, bytes that the process wrote or None)."""
    import subprocess

    # aria2c counts its connections by host name, whatever the port.
    names = len({urllib.parse.urlsplit(url).hostname for url in file["urls"]})
    split = min(AT_MOST, len(file["urls"]) * PER_SERVER)
    stall = max(1, round(STALL_S))
    options = [
        "aria2c", "--no-conf=true", "--no-netrc=true", "--input-file=-", "--continue=true", "--allow-overwrite=true",
        "--auto-file-renaming=false", "--file-allocation=none", "--disk-cache=0", "--auto-save-interval=1",
        f"--split={split}", f"--max-connection-per-server={-(-split // names)}",
        # From the beginning on, so that the sum can follow; asked for piece by piece, as what a cut range has on its way is lost.
        "--stream-piece-selector=inorder", "--min-split-size=4M", "--enable-http-pipelining=true",
        # What is done is never begun anew.
        "--always-resume=true", "--uri-selector=inorder", "--max-tries=3", "--retry-wait=1",
        f"--connect-timeout={min(10, stall)}", f"--timeout={stall}", "--lowest-speed-limit=20K", "--max-file-not-found=2", "--remote-time=false",
        "--summary-interval=1", "--console-log-level=error", "--download-result=hide", f"--stop-with-process={os.getpid()}",
    ]  # fmt: skip
    direct = past_accelerator(file["urls"][0])
    env = {name: value for name, value in os.environ.items() if not (direct and name.lower().endswith("_proxy"))}
    child = subprocess.Popen(
        options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, pass_fds=(lock,), env=env
    )
    # Who waits names it, should it be left behind.
    os.write(lock, f"{child.pid}\n".encode())
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write("\t".join(file["urls"]) + f"\n dir={os.path.dirname(path)}\n out={os.path.basename(path)}\n")
        child.stdin.close()
    last, reached = "", 0
    for line in child.stdout:
        done = re.search(r"\((\d+)%\)", line)
        if done:
            reached = int(done[1])
            progress.at(file, file["bytes"] * reached // 100)
        elif "errorCode" in line or "ERROR" in line:
            last = line.strip()
    wrote = _wrote(child.pid)
    code = child.wait()
    if code == 0 and os.path.exists(path) and not os.path.exists(path + ".aria2"):
        return 100, None, wrote
    return reached, re.sub(r"\?\S*", "", last)[:200] or f"ended with {code}", wrote


def _wrote(pid):
    """All bytes that a child of ours has written, to files and pipes, once it has ended; None where the kernel does not tell."""
    try:
        # Its count is there until it is waited for.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with open(f"/proc/{pid}/io") as stream:
            return int(re.search(r"^wchar: (\d+)$", stream.read(), re.M)[1])
    except (OSError, TypeError):
        return None
