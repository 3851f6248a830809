"""Where a file can be had, and what is known of each place: its rate, its failures, whether it is of use at all."""
import hashlib
import os
import time
import urllib.parse

from fetch_http import plain

# In a row, without a byte between: then it is left for the others.
BARREN = 4
# Where there are no others, or all are in the same trouble, it may be our own line: so long it is tried on, of a host that never answered an eighth.
PATIENCE_S = float(os.environ.get("ATELIER_FETCH_PATIENCE_S", "240"))
LONGEST_WAIT_S = 30
FAILURES = 60
# After a failure it gets fewer connections; so long after the last one, more again.
FORGIVEN_S = 20.0


class Source:
    def __init__(self, url, connections):
        self.url = url
        self.key = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
        self.connections = self.most = connections
        self.failed_at = float("-inf")
        # Where the last redirect led, so that not every piece asks the hub again.
        self.resolved = None
        self.etag = None
        self.no_ranges = False
        # Why it is of no use; `unfit`: only because its file has another length than the first answer said.
        self.gone = None
        self.unfit = False
        self.why = ""
        self.parked = 0.0
        # Failures in a row, and since when.
        self.barren, self.barren_since = 0, 0.0
        self.failures = 0
        self.active = 0
        # Bytes a second of one connection, of the latest pieces.
        self.rate = 0.0
        # Seconds until the first byte of its latest answer.
        self.wait = 0.0
        self.received = 0

    def plain(self):
        return plain(self.url)

    def usable(self):
        return self.gone is None

    def ready(self, now):
        return self.gone is None and now >= self.parked and self.active < (1 if self.no_ranges else self.connections)

    def measured(self, rate):
        if self.connections < self.most and time.monotonic() - self.failed_at > FORGIVEN_S:
            self.connections += 1
        self.rate = rate if not self.rate else 0.6 * self.rate + 0.4 * rate

    def failed(self, why, wait, grown, patience):
        """Something that may pass, within `patience` seconds at least. Several connections that fail at once count as one failure."""
        now = time.monotonic()
        self.why = why
        self.failed_at = now
        self.barren = 0 if grown else self.barren
        if now < self.parked:
            return
        self.failures += 1
        self.barren += 0 if grown else 1
        if self.barren == 1:
            self.barren_since = now
        self.connections = max(1, self.connections // 2)
        if (self.barren >= BARREN and now - self.barren_since >= patience) or self.failures >= FAILURES:
            self.gone = f"{why} ({self.failures} tries)"
            return
        self.parked = now + (wait if wait is not None else 0.05 if grown else min(0.3 * 2**self.barren, LONGEST_WAIT_S))
