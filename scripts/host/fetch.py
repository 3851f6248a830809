"""Fetches files into a store by their sha256. Python 3.8 or later, standard library only.

Standard input, fields between tabs:
    cache   FOLDER                       the store is FOLDER/sha256, what is unfinished lies in FOLDER/fetch
    token   TOKEN                        sent to token_hosts only, over https (or to this machine itself)
    token_hosts  HOST HOST ...
    file    NAME  BYTES|-  SHA256|-  URL URL ...
Standard output, a line a file:  NAME  SHA256  BYTES  PATH  here|fetched  SOURCE|-  RECEIVED
SOURCE is the server that brought most of it, RECEIVED what came over the network.
Standard error: a readable line every 2 s, and its machine form behind an @.
Exit code 0: all are in the store; 1: at least one is not, and standard error says why for each.
"""
import contextlib
import os
import sys
import threading

import fetch_aria2
from fetch_download import Download
from fetch_files import Bad, Store, room
from fetch_http import Client, plain
from fetch_progress import Progress

AT_ONCE = 3
# Below this, starting aria2c costs more than it saves.
ARIA2_BYTES = 8_000_000


def read_request(lines):
    request = {"cache": "", "token": "", "token_hosts": [], "files": []}
    for line in lines:
        kind, *fields = line.rstrip("\n").split("\t")
        if kind == "file":
            name, size, sha256, urls = fields
            request["files"].append(
                {
                    "name": name,
                    "bytes": None if size in ("-", "") else int(size),
                    "sha256": None if sha256 in ("-", "") else sha256.lower(),
                    "urls": [url for url in urls.split() if url != "-"],
                }
            )
        elif kind == "token_hosts":
            request[kind] = fields[0].split()
        elif kind:
            request[kind] = fields[0]
    return request


def fetch(file, store, client, progress):
    """Brings one file into the store; returns (sha256, bytes, path, how, source, received)."""
    found = store.find(file)
    if not found and not file["urls"]:
        raise Bad(f"it is not in {store.cache}, and no source is known for it (upstreams: offline?)")
    with contextlib.ExitStack() as alone:
        if not found:
            lock = alone.enter_context(store.alone(file))
            # Somebody else may have brought it while we waited.
            found = store.find(file)
        if found:
            progress.skip(file)
            return (*found, "here", "-", 0)
        if fetch_aria2.begun(file, store):
            # Its process was killed. We lose less of it than it would itself.
            fetch_aria2.hand_over(file, store)
        if fetch_aria2.fits(file, client, ARIA2_BYTES) and not os.path.exists(store.partial(file)):
            try:
                path, sha256 = fetch_aria2.download(file, store, progress, lock)
                admitted = store.admit(path, file, sha256, file["sha256"])
                return (*admitted, "fetched", plain(file["urls"][0]), file["bytes"])
            except Bad as why:
                say(f"models: {file['name']}: aria2c: {why}; going on without it")
                if os.path.exists(store.partial(file, "aria2part.aria2")):
                    fetch_aria2.hand_over(file, store)
                # Whole, and wrong.
                fetch_aria2.forget(file, store)
                progress.reset(file)
        sha256, size, path, url, received = Download(file, store, client, progress).run()
        fetch_aria2.forget(file, store)
        return sha256, size, path, "fetched", plain(url), received


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    request = read_request(sys.stdin)
    if not request["cache"]:
        say("error: models: no cache in the request")
        return 2
    store = Store(request["cache"])
    client = Client(request["token"], request["token_hosts"])
    progress = Progress([file for file in request["files"]])
    failures = []
    try:
        for file in request["files"]:
            store.adopt(file)
        missing = [file for file in request["files"] if not store.has(file)]
        room(store.cache, sum((file["bytes"] or 0) - min(store.begun(file), file["bytes"] or 0) for file in missing))
    except Bad as why:
        print(f"error: models: {why}", file=sys.stderr)
        return 1
    stop = threading.Event()
    ticker = threading.Thread(target=progress.run, args=(stop,), daemon=True)
    ticker.start()
    waiting = list(request["files"])
    said = threading.Lock()

    def work():
        # Two names for one content must not race for one partial file: `alone` lets the second find what the first brought.
        while True:
            with said:
                if not waiting:
                    return
                file = waiting.pop(0)
            try:
                line = "\t".join(map(str, (file["name"], *fetch(file, store, client, progress))))
                with said:
                    print(line, flush=True)
            except (Bad, OSError) as why:
                failures.append(f"{file['name']}: {why}")
            except Exception as why:  # A mistake of ours must not look like success.
                failures.append(f"{file['name']}: {type(why).__name__}: {why}")

    workers = [threading.Thread(target=work, daemon=True) for _ in range(AT_ONCE)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stop.set()
    ticker.join(3)
    for failure in failures:
        print(f"error: models: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Threads stuck in a dying connection must not keep the job alive.
    os._exit(code)
