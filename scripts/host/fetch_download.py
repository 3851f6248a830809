"""One file from all of its sources at once: each connection fetches the next missing piece; what fails is left, what lies is found out."""
import sys
import threading
import time

from fetch_blame import Blame
from fetch_files import Bad
from fetch_hash import Prefix
from fetch_http import Gone, Trouble
from fetch_lease import Lease
from fetch_pieces import Pieces
from fetch_requests import Changed, Requests
from fetch_sources import PATIENCE_S, Source

# More connections than this help nobody, and anger servers.
AT_MOST = 12
PER_SOURCE = 4
# A file of less comes by one connection; the next source is asked when nothing has come for HASTE_S.
MANY = 8 << 20
HASTE_S = 3.0
# A connection below this rate over SLOW_S is given up for another source, if there is one.
SLOW_BYTES_S = 20_000
SLOW_S = 30


class Worker:
    """A connection at work; `link` lets another thread end it."""

    def __init__(self, source, lease):
        self.source, self.lease, self.link = source, lease, None
        self.received = self.seen = 0
        self.seen_at = time.monotonic()
        # Since when it waits for the first bytes of an answer.
        self.asked = None
        self.cancelled = None

    def answered(self):
        """Bytes came. How long they were waited for says nothing of how fast they come."""
        if self.asked is not None:
            self.seen_at += time.monotonic() - max(self.asked, self.seen_at)
            self.asked = None


class Download(Blame, Requests):
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
            self.progress.waiting(self.file, None)
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
        whys = {str(source.gone or source.why) for source in self.sources}
        tried = "\n  - ".join(dict.fromkeys(f"{source.plain()}: {source.gone or source.why}" for source in self.sources))
        mend = "Set upstreams, add a source to the model, or host.proxy"
        # Sources that agree speak against what they are held to.
        if len(whys) == 1 and whys.pop().startswith(("its sha256 is ", "its file has ")):
            mend = "It is the same other file everywhere: look whether the model's bytes and sha256 are right; if so, set upstreams, or add a source to the model"
        return Bad(f"could not be had. Tried:\n  - {tried}\n{mend}")

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
                self.progress.waiting(self.file, self._waits(usable, tick))
        self._stop()
        self.progress.at(self.file, pieces.length)

    def _spawn(self, usable, now):
        pieces = self.pieces
        if not self.expected:
            # Without a sha256 nothing proves that two sources have the same file: one alone, from its beginning to its end.
            begun = pieces.by_source()
            usable = sorted(usable, key=lambda one: one.key not in begun)[:1]
            if usable and not self.workers and any(key != usable[0].key for key in begun):
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
        # Who is asked already comes last.
        for source in usable if many else sorted(usable, key=lambda one: one.active):
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
                # A hub that led there may know another node by now.
                source.resolved = None
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
            if lease is None or worker.asked is not None or now - worker.seen_at < SLOW_S:
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

    # -- what is said --

    def _waits(self, usable, now):
        """The source that is tried next, where none is tried now."""
        if self.workers or not usable:
            return None
        source = min(usable, key=lambda one: one.parked)
        return f"{source.plain()}: {source.why}; again in {max(0, source.parked - now):.0f} s"

    def _gone(self, source, why):
        if source.gone is None:
            source.gone = why
            self._say(f"models: {self.file['name']}: {source.plain()}: {why}")

    def _trouble(self, source, why, wait, grown):
        fine = any(other.usable() and not other.barren for other in self.sources if other is not source)
        source.failed(why, wait, grown, 0 if fine else PATIENCE_S if self.client.knows(source.url) else PATIENCE_S / 8)
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
