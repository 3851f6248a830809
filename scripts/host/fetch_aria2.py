"""Downloads by aria2c, where it is on PATH: several sources and connections at once."""
import contextlib
import os
import re
import shutil
import subprocess

from fetch_files import Bad

TRIES = 5


def fits(file, downloader, least):
    """aria2c sends a header on to wherever it is redirected: a file that needs the token is not for it. Nor one that no sha256 proves."""
    return bool(
        shutil.which("aria2c")
        and file["sha256"]
        and (file["bytes"] or 0) >= least
        and not any(downloader.token_for(url) for url in file["urls"])
    )


def download(file, store, progress):
    """The path of the finished download. Goes on after a failure while that brings it further; what it had stays for the next time."""
    path = store.partial(file, "aria2part")
    best = -1
    for _ in range(TRIES):
        reached, why = _once(file, path, progress)
        if why is None:
            progress.at(file, file["bytes"])
            return path
        if reached <= best:
            break
        best = reached
    raise Bad(why)


def forget(file, store):
    """Another way brought the file."""
    for kind in ("aria2part", "aria2part.aria2"):
        with contextlib.suppress(OSError):
            os.remove(store.partial(file, kind))


def _once(file, path, progress):
    """(percent reached, None or why it failed)."""
    options = [
        "aria2c", "--no-conf=true", "--no-netrc=true", "--input-file=-", "--continue=true", "--allow-overwrite=true",
        "--auto-file-renaming=false", "--file-allocation=none", "--split=8", "--max-connection-per-server=4",
        "--min-split-size=4M", "--uri-selector=inorder", "--max-tries=3", "--retry-wait=1", "--connect-timeout=10",
        "--timeout=20", "--lowest-speed-limit=20K", "--max-file-not-found=2", "--remote-time=false", "--summary-interval=2",
        "--console-log-level=error", "--download-result=hide", f"--stop-with-process={os.getpid()}",
    ]  # fmt: skip
    child = subprocess.Popen(options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
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
    code = child.wait()
    if code == 0 and os.path.exists(path) and not os.path.exists(path + ".aria2"):
        return 100, None
    return reached, re.sub(r"\?\S*", "", last)[:200] or f"ended with {code}"
