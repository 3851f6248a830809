"""Which bytes of a file are there, from whom, and who fetches which of the rest. A journal beside the partial file outlives the process."""
import contextlib
import json
import os
import threading
import time

from fetch_lease import QUIET_S, Lease

LEAST = 1 << 20
FIRST = 4 << 20
MOST = 64 << 20
# A lease is about so long at the rate of its source.
LEASE_S = 3.0
# A server that answers after more than this costs that for each lease: fewer, longer ones.
LATE_S = 1.0


class Pieces:
    def __init__(self, path, journal, length):
        self.path, self.journal, self.length = path, journal, length
        self.lock = threading.RLock()
        self.done = []
        self.leases = []
        self.etag = None
        self.unsaved = 0
        self.saved_at = time.monotonic()
        # Counts how often bytes that were here were given up: who read them must begin again.
        self.wiped = 0
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def load(self):
        """What an earlier process left, as far as the partial file has it."""
        try:
            with open(self.journal) as stream:
                state = json.load(stream)
            size = os.fstat(self.file).st_size
            have = [(int(start), min(int(end), size), str(source)) for start, end, source in state["have"]]
            self.etag = state.get("etag")
            length = state.get("bytes")
        except (OSError, ValueError, KeyError, TypeError):
            return
        if self.length is None:
            self.length = length
        if self.length is not None and length not in (None, self.length):
            return
        for start, end, source in sorted(have):
            if self.done and start < self.done[-1][1]:
                start = self.done[-1][1]
            if start < end and (self.length is None or end <= self.length):
                self._add(start, end, source)

    def save(self):
        """Cheap: it is called for every half percent, so that a killed process loses no more than that."""
        with self.lock:
            have = list(self.done)
            have += [(lease.start, lease.at, lease.source.key) for lease in self.leases if lease.at > lease.start]
            state = {"bytes": self.length, "etag": self.etag, "have": sorted(have)}
            self.unsaved = 0
            self.saved_at = time.monotonic()
            with open(self.journal + ".new", "w") as stream:
                json.dump(state, stream)
            os.replace(self.journal + ".new", self.journal)

    def close(self):
        os.close(self.file)

    def forget(self):
        for path in (self.path, self.journal, self.journal + ".new"):
            with contextlib.suppress(OSError):
                os.remove(path)

    def have(self):
        with self.lock:
            return sum(end - start for start, end, _ in self.done) + sum(lease.at - lease.start for lease in self.leases)

    def by_source(self):
        """How many bytes each source brought."""
        with self.lock:
            counts = {}
            for start, end, source in self.done:
                counts[source] = counts.get(source, 0) + end - start
            return counts

    def whole(self):
        with self.lock:
            return self.length is not None and self.frontier() >= self.length

    def frontier(self):
        """The first byte that is missing."""
        with self.lock:
            at = 0
            spans = self.done + [(lease.start, lease.at, None) for lease in self.leases]
            for start, end, _ in sorted(spans, key=lambda span: span[:2]):
                if start > at:
                    break
                at = max(at, end)
            return at

    def drop(self, keep=lambda source: False):
        """Gives up what came from sources that are not kept."""
        with self.lock:
            self.done = [span for span in self.done if keep(span[2])]
            self.wiped += 1
            self.save()

    def take(self, source, workers):
        """A lease on the next missing bytes, or on the tail of somebody's who would take longer; None when there is nothing to do."""
        with self.lock:
            gap = self._gap()
            if gap:
                start, end = gap
                if self.length is None:
                    end = None
                elif not source.no_ranges and (workers > 1 or len(self.leases)):
                    left = self.length - self.have()
                    size = FIRST if not source.rate else min(MOST, max(LEAST, int(source.rate * max(LEASE_S, 2 * source.wait))))
                    size = max(LEAST, min(size, left // ((1 if source.wait > LATE_S else 2) * max(1, workers))))
                    # No crumbs behind it.
                    end = end if end - start < size + LEAST // 2 else start + size
                lease = Lease(source, start, end)
                self.leases.append(lease)
                return lease
            return self._tail(source)

    def _gap(self):
        at = 0
        spans = [(start, end) for start, end, _ in self.done]
        for lease in self.leases:
            spans.append((lease.start, lease.end if lease.end is not None else float("inf")))
        for start, end in sorted(spans):
            if start > at:
                return at, start
            at = max(at, end)
        if self.length is None:
            return (at, None) if at != float("inf") else None
        return (at, self.length) if at < self.length else None

    def _tail(self, source):
        now = time.monotonic()
        mine = max(source.rate, 100_000)
        best = None
        for lease in self.leases:
            if lease.end is None or lease.left() <= 0:
                continue
            quiet = now - lease.last
            if quiet > QUIET_S and lease.open_to(source, quiet):
                self.leases.append(lease.rival(source))
                return self.leases[-1]
            if quiet > QUIET_S or lease.first is None:
                # It waits for its answer, and is not robbed of what may be on its way.
                continue
            if lease.source is source and lease.rate() > 0.3 * mine:
                # Two connections to one server share its rate.
                continue
            eta = lease.left() / max(lease.rate(), 1.0)
            if eta > 1.0 + source.wait and (best is None or eta > best[0]):
                best = (eta, lease)
        if best is None:
            return None
        lease = best[1]
        # Both come to their ends together, though the other has yet to be answered.
        kept = int((lease.left() + mine * source.wait) * lease.rate() / (lease.rate() + mine))
        if kept < 65536:
            kept = 0
        if lease.left() - kept < 65536:
            return None
        taken = Lease(source, lease.at + kept, lease.end)
        lease.end = taken.start
        self.leases.append(taken)
        return taken

    def write(self, lease, block):
        """Puts a block where the lease is; the bytes beyond its end are another's. True while the lease wants more."""
        with self.lock:
            if lease not in self.leases:
                return False
            if lease.end is not None and len(block) > lease.left():
                block = block[: max(0, lease.left())]
            # Under the lock: a lease that was cut must not write over its successor's bytes.
            os.pwrite(self.file, block, lease.at)
            lease.at += len(block)
            if block:
                lease.came(time.monotonic())
            self.unsaved += len(block)
            if self.unsaved >= max(65536, (self.length or 0) // 200) or lease.last - self.saved_at > 1:
                self.save()
            return lease.end is None or lease.at < lease.end

    def finish(self, lease):
        """Back with a lease, whatever came of it."""
        with self.lock:
            if lease not in self.leases:
                return
            self.leases.remove(lease)
            lease.leave()
            if lease.at > lease.start:
                self._add(lease.start, lease.at, lease.source.key)
                self.save()

    def _add(self, start, end, source):
        self.done.append((start, end, source))
        self.done.sort()
        merged = []
        for span in self.done:
            if merged and merged[-1][1] == span[0] and merged[-1][2] == span[2]:
                merged[-1] = (merged[-1][0], span[1], span[2])
            else:
                merged.append(span)
        self.done = merged
