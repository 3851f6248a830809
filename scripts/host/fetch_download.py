"""One file from all of its sources at once: each connection fetches the next missing piece; what fails is left, what lies is found out."""
import hashlib
import re
import sys
import threading
import time

from fetch_files import Bad, room
from fetch_hash import Prefix
from fetch_http import Gone, Trouble, refuse
from fetch_pieces import Lease, Pieces
from fetch_sources import Source

# More connections than this help nobody, and anger servers.
AT_MOST = 12
PER_SOURCE = 4
# A file of less comes by one connection; the next source is asked when nothing has come for HASTE_S.
MANY = 8 << 20
HASTE_S = 3.0
# A connection below this rate over SLOW_S is given up for another source, if there is one.
SLOW_BYTES_S = 20_000
SLOW_S = 30
BLOCK = 1 << 18
SAMPLE = 1 << 16


class Changed(Exception):
    """The source's file is not the one of before."""


class Worker:
    """A connection at work; `link` lets another thread end it."""

    def __init__(self, source, lease):
        self.source, self.lease, self.link = source, lease, None
        self.received = self.seen = 0
        self.seen_at = time.monotonic()
        self.cancelled = None


class Download:
    def __init__(self, file, store, client, progress):
        self.file, self.store, self.client, self.progress = file, store, client, progress
        each = max(2, min(PER_SOURCE, AT_MOST // max(1, len(file["urls"]))))
        self.sources = [Source(url, each) for url in dict.fromkeys(file["urls"])]
        self.expected = file["sha256"] or store.seen(file)
        self.pieces = Pieces(store.partial(file), store.partial(file, "json"), file["bytes"])
        self.pieces.load()
        self.changed = threading.Condition()
        self.workers = []
        self.fatal = None
        self.changes = 0
        self.said = set()
        self.last = time.monotonic()

    def run(self):
        """(sha256, bytes, path, source that brought most, bytes received); raises Bad with a reason for every source."""
        pieces = self.pieces
        if not self.expected and not pieces.etag:
            # Nothing proves that the rest belongs to it.
            pieces.drop()
        self.prefix = Prefix(pieces)
        try:
            return self._run()
        finally:
            self._stop()
            self.prefix.stop()
            with pieces.lock:
                pieces.leases = []
            pieces.close()

    def _run(self):
        pieces, alone = self.pieces, []
        while True:
            try:
                self._fetch(alone[:1] or self.sources)
                sha256 = self.prefix.result()
                brought = pieces.by_source()
                admitted = self.store.admit(pieces.path, self.file, sha256, self.expected)
                pieces.forget()
                source = max(self.sources, key=lambda one: brought.get(one.key, 0))
                return (*admitted, source.url, sum(one.received for one in self.sources))
            except Bad as why:
                if self.fatal:
                    raise self.fatal from why
                if pieces.whole():
                    alone = self._blame(why)
                else:
                    alone = alone[1:]
                    if alone:
                        pieces.drop()
                if not any(source.usable() for source in self.sources):
                    if not self._other_length():
                        raise self._hopeless() from why
            if not pieces.have():
                self._other_length()

    def _other_length(self):
        """The length was one source's word, and that source is gone: those that have another one are asked. False where there are none."""
        unfit = [source for source in self.sources if source.unfit]
        if self.file["bytes"] or not unfit:
            return False
        self.pieces.drop()
        self.pieces.length = None
        for source in unfit:
            source.gone, source.unfit = None, False
        return True

    def _hopeless(self):
        tried = "\n  - ".join(dict.fromkeys(f"{source.plain()}: {source.gone or source.why}" for source in self.sources))
        return Bad(f"could not be had. Tried:\n  - {tried}\nSet upstreams, add a source to the model, or host.proxy")

    # -- who lied --

    def _blame(self, why):
        """The file is whole and wrong. Leaves out who is to blame, or returns the sources to be tried alone, one after the other."""
        known = {source.key: source for source in self.sources}
        brought = self.pieces.by_source()
        if any(key not in known for key in brought):
            # From sources that are no longer named: nothing is known of them.
            self.pieces.drop(lambda key: key in known)
            return []
        if len(brought) == 1:
            self._gone(known[next(iter(brought))], str(why))
            self.pieces.drop()
            return []
        self._say(f"models: {self.file['name']}: {why}; its parts came from {len(brought)} sources, looking for the wrong one")
        liars = self._vote(known)
        if liars:
            for source in liars:
                self._gone(source, "it serves other bytes than two others, which agree")
            self.pieces.drop(lambda key: known[key].usable())
            return []
        alone = sorted((known[key] for key in brought if known[key].usable()), key=lambda source: -brought[source.key])
        self.pieces.drop(lambda key: bool(alone) and key == alone[0].key)
        return alone

    def _vote(self, known):
        """Sources of which a sample is unlike what two others serve there, and agree on."""
        liars = set()
        spans = {}
        for start, end, key in self.pieces.done:
            spans.setdefault(key, []).append((start, end))
        for key, own in spans.items():
            source = known[key]
            for start, end in {own[0], own[len(own) // 2], own[-1]}:
                at = (start + max(start, end - SAMPLE)) // 2
                others = [other for other in self.sources if other is not source and other.usable() and other not in liars]
                sums = {}
                for other in others:
                    got = self._sample(other, at, min(end, at + SAMPLE))
                    if got:
                        sums.setdefault(hashlib.sha256(got).digest(), []).append(other)
                mine = self._here(at, min(end, at + SAMPLE))
                agreed = max(sums.values(), key=len, default=[])
                if len(agreed) >= 2 and hashlib.sha256(mine).digest() not in sums:
                    liars.add(source)
                    break
        return liars

    def _here(self, start, end):
        with open(self.pieces.path, "rb") as stream:
            stream.seek(start)
            return stream.read(end - start)

    def _sample(self, source, start, end):
        try:
            answer = self.client.get(source.url, {"Range": f"bytes={start}-{end - 1}"})
            try:
                refuse(answer, source.url)
                self._total(answer, start)
                if answer.status != 206:
                    return None
                got = b""
                while len(got) < end - start:
                    block = answer.read(end - start - len(got))
                    if not block:
                        return None
                    got += block
                source.received += len(got)
                return got
            finally:
                answer.close()
        except (Gone, Trouble, OSError):
            return None

    # -- who fetches --

    def _fetch(self, allowed):
        """Until the file is whole."""
        pieces, tick = self.pieces, 0.0
        while True:
            with self.changed:
                if self.fatal:
                    raise self.fatal
                if pieces.whole():
                    break
                usable = [source for source in allowed if source.usable()]
                if not usable and not self.workers:
                    raise Bad("no source is left")
                self._spawn(usable, time.monotonic())
                self.changed.wait(0.05)
            have = pieces.have()
            self.progress.at(self.file, have)
            if time.monotonic() - tick > 1:
                tick = time.monotonic()
                self._watch(usable)
        self._stop()
        self.progress.at(self.file, pieces.length)

    def _spawn(self, usable, now):
        pieces = self.pieces
        if not self.expected:
            # Without a sha256 nothing proves that two sources have the same file: one alone, from its beginning to its end.
            usable = usable[:1]
            if usable and not self.workers and any(key != usable[0].key for key in pieces.by_source()):
                pieces.drop()
                pieces.etag, pieces.length = None, self.file["bytes"]
        with_ranges = [source for source in usable if not source.no_ranges]
        if not with_ranges and usable:
            if self.workers:
                return
            usable = usable[:1] if usable[0].ready(now) else [source for source in usable if source.ready(now)][:1]
            self._trim()
        else:
            usable = with_ranges
        many = pieces.length is not None and pieces.length - pieces.have() > MANY
        if not many and self.workers and now - self.last < HASTE_S:
            return
        for source in usable:
            while source.ready(now):
                busy = len(self.workers) + 1
                lease = pieces.take(source, 1 if source.no_ranges or not many else max(busy, self._wanted(usable)))
                if lease is None:
                    break
                self._start(source, lease)
                if not many:
                    self.last = now
                    return

    @staticmethod
    def _wanted(usable):
        return sum(source.connections for source in usable)

    def _trim(self):
        """For a server that only knows whole files: what lies behind the first gap would cost it a pass each."""
        pieces = self.pieces
        with pieces.lock:
            front = pieces.frontier()
            pieces.done = [(start, min(end, front), key) for start, end, key in pieces.done if start < front]

    def _start(self, source, lease):
        worker = Worker(source, lease)
        source.active += 1
        self.workers.append(worker)
        threading.Thread(target=self._work, args=(worker,), daemon=True).start()

    def _work(self, worker):
        source, pieces = worker.source, self.pieces
        try:
            while worker.lease is not None and worker.cancelled is None and source.usable():
                try:
                    self._piece(worker)
                finally:
                    pieces.finish(worker.lease)
                with self.changed:
                    self.changed.notify_all()
                    busy = max(len(self.workers), self._wanted([one for one in self.sources if one.usable()]))
                    ranges = not source.no_ranges
                worker.lease = pieces.take(source, busy) if self.expected and ranges or not self.expected else None
        except Gone as why:
            self._gone(source, worker.cancelled or str(why))
        except Trouble as why:
            if worker.cancelled is None and worker in self.workers:
                # A few bytes before each failure are no progress: they would go on for hours.
                got = worker.lease.at - worker.lease.start
                self._trouble(source, str(why), why.wait, got > min(1 << 20, (pieces.length or 0) // 100))
        except Changed:
            self._start_over(source)
        except OSError as why:
            self.fatal = Bad(f"{self.pieces.path} can't be written ({why}): free some disk, or set host.cache to a larger one")
        finally:
            pieces.finish(worker.lease or Lease(source, 0, 0))
            if worker.link is not None:
                worker.link.close()
            with self.changed:
                if worker in self.workers:
                    self.workers.remove(worker)
                    source.active -= 1
                self.changed.notify_all()

    def _watch(self, usable):
        """Gives up connections that crawl, where another source may do better."""
        now = time.monotonic()
        for worker in list(self.workers):
            lease = worker.lease
            if lease is None or now - worker.seen_at < SLOW_S:
                continue
            rate = (worker.received - worker.seen) / (now - worker.seen_at)
            worker.seen_at, worker.seen = now, worker.received
            if rate < SLOW_BYTES_S and len(usable) > 1:
                why = f"it sends less than {SLOW_BYTES_S // 1000} kB/s"
                if self.expected:
                    self._trouble(worker.source, why, 60, False)
                else:
                    self._gone(worker.source, why)
                self._cancel(worker, why)

    def _cancel(self, worker, why):
        worker.cancelled = why
        if worker.link is not None:
            worker.link.close()

    def _stop(self):
        with self.changed:
            left, self.workers = self.workers, []
            for worker in left:
                worker.source.active -= 1
        for worker in left:
            self._cancel(worker, "the file is whole")
            if worker.lease is not None:
                self.pieces.finish(worker.lease)

    # -- one request --

    def _piece(self, worker):
        source, lease, pieces = worker.source, worker.lease, self.pieces
        start, headers, asked = lease.at, {}, lease.end
        if start > 0 or (asked is not None and asked != pieces.length):
            headers["Range"] = f"bytes={start}-{'' if asked in (None, pieces.length) else asked - 1}"
            if not self.expected and pieces.etag:
                headers["If-Range"] = pieces.etag
        answer = self._ask(worker, headers)
        response = answer.response
        with pieces.lock:
            self._agree(source, answer, self._total(answer, start), start, bool(headers))
        skip = start if answer.status == 200 else 0
        at = 0 if answer.status == 200 else start
        while True:
            block = answer.read(BLOCK)
            if not block:
                if pieces.length is None and lease.end is None:
                    # Its end is the only word on its length.
                    pieces.length = lease.at
                elif lease.end is None or lease.at < lease.end:
                    raise Trouble("it ended early")
                return
            source.received += len(block)
            worker.received += len(block)
            self.last = time.monotonic()
            if lease.end is None and pieces.length is not None:
                lease.end = pieces.length
            at += len(block)
            if pieces.length is not None and at > pieces.length:
                raise Gone(f"it sends more than the {pieces.length} bytes that it announced")
            if skip:
                dropped = min(skip, len(block))
                skip -= dropped
                block = block[dropped:]
                if not block:
                    continue
            if not pieces.write(lease, block):
                break
        took = time.monotonic() - lease.began
        if lease.at - lease.start >= BLOCK and took > 0:
            source.measured((lease.at - lease.start) / took)
        source.barren = 0
        if answer.status == 200 and pieces.length is not None and at == pieces.length and self._more(answer):
            raise Gone(f"it sends more than the {pieces.length} bytes that it announced")
        if response.length == 0:
            response.read()
        if not response.isclosed() or response.will_close:
            worker.link.close()
            worker.link = None

    @staticmethod
    def _more(answer):
        return answer.response.length is None and bool(answer.read(1))

    def _ask(self, worker, headers):
        source = worker.source
        for url in dict.fromkeys([source.resolved or source.url, source.url]):
            try:
                answer = self.client.get(url, headers, worker.link)
                worker.link = answer.link
                if answer.status == 416:
                    source.unfit = not self.file["bytes"]
                    raise Gone(f"it has no bytes from {worker.lease.at} on; wanted: a file of {self.pieces.length}")
                refuse(answer, url)
            except Gone:
                if worker.link is not None:
                    worker.link.close()
                worker.link = None
                if url == source.url:
                    raise
                # A signed link has run out: the hub gives another.
                source.resolved = None
                continue
            except Trouble:
                worker.link = None
                raise
            if answer.url != source.url:
                source.resolved = answer.url
            if answer.claimed and not self.file["sha256"]:
                self._claim(source, answer.claimed)
            return answer
        raise Gone("no answer")

    def _claim(self, source, sha256):
        """A hub says which sha256 its file has: the first that does is held to it, and so are the others."""
        if self.expected is None:
            self.expected = sha256
        elif self.expected != sha256:
            raise Gone(f"it says that its file has the sha256 {sha256}; wanted: {self.expected}")

    def _total(self, answer, start):
        """The whole length by the answer's headers, None where it does not say; raises Gone when the answer is not about our file."""
        if answer.headers.get_content_type() == "text/html" and not self.file["name"].endswith((".html", ".htm")):
            raise Gone("it answers with a web page instead of the file")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise Gone(f"it answers with an encoded file ({answer.headers['Content-Encoding']})")
        if answer.status == 206:
            span = re.match(r"bytes (\d+)-(\d+)/(\d+|\*)$", answer.headers.get("Content-Range", "").strip())
            if not span or int(span[1]) != start:
                raise Gone(f"asked for bytes from {start}, it answers with {answer.headers.get('Content-Range')!r}")
            return int(span[3]) if span[3] != "*" else None
        length = answer.headers.get("Content-Length")
        return int(length) if length and length.isdigit() else None

    def _agree(self, source, answer, total, start, ranged):
        """Its answer is about the same file as those before."""
        pieces, etag = self.pieces, answer.headers.get("ETag")
        etag = etag if etag and not etag.startswith("W/") else None
        if not self.expected and pieces.etag and etag != pieces.etag and (start > 0 or pieces.have() > 0):
            raise Changed()
        if pieces.length is None and total is not None:
            room(self.store.cache, total - pieces.have(), self.fail)
            pieces.length = total
            self.progress.total(self.file, total)
            for lease in pieces.leases:
                if lease.end is None:
                    lease.end = total
        elif total is not None and total != pieces.length:
            source.unfit = not self.file["bytes"]
            raise Gone(f"its file has {total} bytes; wanted: {pieces.length}")
        if not self.expected:
            pieces.etag = etag
        if answer.status == 200 and ranged and not source.no_ranges:
            source.no_ranges = True
            raise Trouble("it ignores ranges", 0)

    def fail(self, why):
        self.fatal = why
        raise Gone(str(why))

    # -- what is said --

    def _gone(self, source, why):
        if source.gone is None:
            source.gone = why
            self._say(f"models: {self.file['name']}: {source.plain()}: {why}")

    def _trouble(self, source, why, wait, grown):
        source.failed(why, wait, grown)
        said = f"models: {self.file['name']}: {source.plain()}: {source.gone or why}"
        if wait and not source.gone:
            said += f"; again in {wait:.0f} s"
        if said not in self.said:
            self.said.add(said)
            self._say(said)

    def _start_over(self, source):
        self.changes += 1
        pieces = self.pieces
        if self.changes > 3:
            self._gone(source, "its file changes while it is fetched")
        with pieces.lock:
            pieces.leases = []
            pieces.drop()
            pieces.etag, pieces.length = None, self.file["bytes"]

    @staticmethod
    def _say(text):
        print(text, file=sys.stderr, flush=True)
