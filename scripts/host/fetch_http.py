"""Downloads by HTTP that believe nothing: lengths, ranges and kinds are checked, a cut is resumed, a bad source is left for the next."""
import contextlib
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from fetch_files import Bad

CONNECT_S = 15
# Reads from the network; a server that says nothing for so long has stalled.
STALL_S = float(os.environ.get("ATELIER_FETCH_STALL_S", "20"))
# Below this rate over SLOW_S the next source is tried, if there is one.
SLOW_BYTES_S = 20_000
SLOW_S = 60
TRIES_WITHOUT_PROGRESS = 3
TRIES = 40
PASSES = 2


class Gone(Exception):
    """This source is of no use; the next may be."""


class Downloader:
    def __init__(self, token, token_hosts):
        self.token = token
        self.hosts = set(token_hosts)
        self.opener = urllib.request.build_opener(_Redirects(self))

    def token_for(self, url):
        """The token, where the address is one that it belongs to."""
        parts = urllib.parse.urlsplit(url)
        own = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if self.token and (parts.scheme == "https" or own) and self.hosts & {parts.hostname, parts.netloc}:
            return self.token
        return None

    def download(self, file, store, progress, whys):
        """Tries each source in order, twice; the file is in the store when this returns the source that ended it."""
        for again in range(PASSES):
            for url in file["urls"]:
                try:
                    self.from_source(url, file, store, progress)
                    store.admit(store.partial(file), file)
                    self._forget(store, file)
                    return url
                except (Bad, Gone) as why:
                    whys.append(f"{_plain(url)}: {why}")
                    print(f"models: {file['name']}: {_plain(url)}: {why}", file=sys.stderr, flush=True)
                    if isinstance(why, Bad):
                        self._forget(store, file)
                        progress.reset(file)
            if again + 1 < PASSES:
                time.sleep(1)
        tried = "\n  - ".join(dict.fromkeys(whys))
        raise Bad(f"could not be had. Tried:\n  - {tried}\nSet upstreams, add a source to the model, or host.proxy")

    def from_source(self, url, file, store, progress):
        """Until the file is whole; raises Gone when the source is of no use."""
        barren = 0
        why = ""
        for turn in range(TRIES):
            before = self._usable(url, file, store)
            try:
                if self._once(url, file, store, progress, before):
                    return
                why = "it ended early"
            except (OSError, http.client.HTTPException) as error:
                why = _why(error)
            grown = store.begun(file) > before
            barren = 0 if grown else barren + 1
            if barren >= TRIES_WITHOUT_PROGRESS:
                break
            time.sleep(min(0.3 * 2**barren, 5))
        raise Gone(f"{why} ({turn + 1} tries)")

    def _usable(self, url, file, store):
        """How much of the partial file may be kept. Without a sha256 only the same source may go on with it."""
        size = store.begun(file)
        if size and not file["sha256"] and self._state(store, file).get("url") != url:
            self._forget(store, file)
            return 0
        if size and file["bytes"] is not None and size > file["bytes"]:
            self._forget(store, file)
            return 0
        return size

    def _once(self, url, file, store, progress, have):
        """One request. True when the file is whole."""
        if have and have == file["bytes"]:
            progress.at(file, have)
            return True
        request = urllib.request.Request(url, headers={"User-Agent": "atelier", "Accept-Encoding": "identity"})
        state = self._state(store, file)
        if have:
            request.add_header("Range", f"bytes={have}-")
            if not file["sha256"] and state.get("etag"):
                request.add_header("If-Range", state["etag"])
        if self.token_for(url):
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        try:
            answer = self.opener.open(request, timeout=min(CONNECT_S, STALL_S))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416 and have:
                    # It holds less than we have: one of the two is wrong.
                    self._forget(store, file)
                    return False
                raise Gone(_status(error.code, url)) if error.code < 500 and error.code not in (408, 429) else error
        with answer:
            total = self._total(answer, have, file)
            if answer.status != 206:
                have = 0
            self._remember(store, file, {"url": url, "etag": answer.headers.get("ETag"), "total": total})
            if total:
                progress.total(file, total)
            got = self._copy(answer, store.partial(file), have, total, file, progress)
        return got == total if total else True

    def _total(self, answer, have, file):
        """The whole length by the answer's headers; raises Gone when the answer is not about our file."""
        kind = answer.headers.get_content_type()
        if kind == "text/html" and not file["name"].endswith((".html", ".htm")):
            raise Gone("it answers with a web page instead of the file")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise Gone(f"it answers with an encoded file ({answer.headers['Content-Encoding']})")
        length = answer.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        if answer.status == 206:
            span = re.match(r"bytes (\d+)-(\d+)/(\d+|\*)$", answer.headers.get("Content-Range", "").strip())
            if not span or int(span[1]) != have:
                raise Gone(f"asked for bytes from {have}, it answers with {answer.headers.get('Content-Range')!r}")
            total = int(span[3]) if span[3] != "*" else None
        elif answer.status != 200:
            raise Gone(f"HTTP {answer.status}")
        if file["bytes"] is not None and total is not None and total != file["bytes"]:
            raise Gone(f"its file has {total} bytes; wanted: {file['bytes']}")
        return total if total is not None else file["bytes"]

    def _copy(self, answer, path, have, total, file, progress):
        connection = getattr(getattr(answer.fp, "raw", None), "_sock", None)
        if connection is not None:
            connection.settimeout(STALL_S)
        window, window_size = time.monotonic(), have
        with open(path, "r+b" if have else "wb") as out:
            out.seek(have)
            out.truncate()
            while True:
                block = answer.read1(1 << 18)
                if not block:
                    return have
                have += len(block)
                if total is not None and have > total:
                    out.truncate(0)
                    raise Gone(f"it sends more than the {total} bytes that it announced")
                out.write(block)
                out.flush()
                progress.at(file, have)
                now = time.monotonic()
                if now - window > SLOW_S:
                    if len(file["urls"]) > 1 and (have - window_size) / (now - window) < SLOW_BYTES_S:
                        raise Gone(f"it sends less than {SLOW_BYTES_S // 1000} kB/s")
                    window, window_size = now, have

    def _state(self, store, file):
        try:
            with open(store.partial(file, "json")) as stream:
                return json.load(stream)
        except (OSError, ValueError):
            return {}

    def _remember(self, store, file, state):
        with open(store.partial(file, "json"), "w") as stream:
            json.dump(state, stream)

    def _forget(self, store, file):
        for kind in ("part", "json"):
            with contextlib.suppress(OSError):
                os.remove(store.partial(file, kind))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect without the token, unless the new address is one that it belongs to."""

    def __init__(self, downloader):
        self.downloader = downloader

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            new.remove_header("Authorization")
            if self.downloader.token_for(newurl):
                new.add_unredirected_header("Authorization", f"Bearer {self.downloader.token}")
        return new


def _plain(url):
    """The address without a user and a query: signed links carry secrets there."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _why(error):
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return f"it said nothing for {STALL_S:g} s"
    return str(getattr(error, "reason", "") or error) or type(error).__name__


def _status(code, url):
    if code in (401, 403):
        page = re.sub(r"/resolve/.*", "", _plain(url))
        return f"HTTP {code}: it wants a token, or its licence accepted at {page} (huggingfaceToken)"
    return f"HTTP {code}"
