"""Fetches files into a store by their sha256. Python 3.8 or later, standard library only.

Standard input, fields between tabs:
    cache   FOLDER                       the store is FOLDER/sha256, what is unfinished lies in FOLDER/fetch
    token   TOKEN                        sent to token_hosts only, over https (or to this machine itself)
    token_hosts  HOST HOST ...
    file    NAME  BYTES|-  SHA256|-  URL URL ...
Standard output, a line a file:  NAME  SHA256  BYTES  PATH  here|fetched  URL|-
Standard error: a readable line every 2 s, and its machine form behind an @.
Exit code 0: all are in the store; 1: at least one is not, and standard error says why for each.
"""
import concurrent.futures
import os
import shutil
import sys
import threading

import fetch_aria2
from fetch_files import Bad, Store
from fetch_http import Downloader
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
                    "urls": urls.split(),
                }
            )
        elif kind == "token_hosts":
            request[kind] = fields[0].split()
        elif kind:
            request[kind] = fields[0]
    return request


def room(request, store):
    """The missing bytes must fit, with a little left: a full disk breaks more than this download."""
    missing = sum((file["bytes"] or 0) - store.begun(file) for file in request["files"] if not store.find(file))
    free = shutil.disk_usage(store.cache).free
    if missing > 0 and free < missing + 200_000_000:
        raise Bad(
            f"{missing // 1_000_000} MB are still to be fetched and {store.cache} has {free // 1_000_000} MB free: "
            "free some, or set host.cache to a larger disk"
        )


def fetch(file, store, downloader, progress):
    """Brings one file into the store; returns (sha256, bytes, path, how, url)."""
    found = store.find(file)
    if found:
        progress.skip(file)
        return (*found, "here", "-")
    if not file["urls"]:
        raise Bad("no source is known for it")
    with store.alone(file):
        found = store.find(file)
        if found:
            progress.skip(file)
            return (*found, "here", "-")
        whys = []
        if fetch_aria2.fits(file, downloader, ARIA2_BYTES):
            try:
                path = fetch_aria2.download(file, store, progress)
                return (*store.admit(path, file), "fetched", file["urls"][0])
            except Bad as why:
                whys.append(f"aria2c: {why}")
                print(f"models: {file['name']}: aria2c: {why}; going on without it", file=sys.stderr)
                progress.reset(file)
        url = downloader.download(file, store, progress, whys)
        fetch_aria2.forget(file, store)
        return (*store.find(file), "fetched", url)


def main():
    request = read_request(sys.stdin)
    store = Store(request["cache"])
    downloader = Downloader(request["token"], request["token_hosts"])
    progress = Progress([file for file in request["files"]])
    failures = []
    try:
        room(request, store)
    except Bad as why:
        print(f"error: models: {why}", file=sys.stderr)
        return 1
    stop = threading.Event()
    ticker = threading.Thread(target=progress.run, args=(stop,), daemon=True)
    ticker.start()
    # Two names for one content must not race for one partial file: `alone` lets the second find what the first brought.
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {pool.submit(fetch, file, store, downloader, progress): file for file in request["files"]}
        for future in concurrent.futures.as_completed(futures):
            file = futures[future]
            try:
                sha256, size, path, how, url = future.result()
                print("\t".join([file["name"], sha256, str(size), path, how, url]), flush=True)
            except (Bad, OSError) as why:
                failures.append(f"{file['name']}: {why}")
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
