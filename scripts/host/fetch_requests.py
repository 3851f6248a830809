"""One request for one lease, and what its answer must look like: a part of Download."""
import re
import time

from fetch_files import room
from fetch_http import Gone, Trouble, refuse

BLOCK = 1 << 18


class Changed(Exception):
    """The source's file is not the one of before."""


class Requests:
    def _piece(self, worker):
        source, lease, pieces = worker.source, worker.lease, self.pieces
        start, headers, asked = lease.at, {}, lease.end
        if start > 0 or (asked is not None and asked != pieces.length):
            headers["Range"] = f"bytes={start}-{'' if asked in (None, pieces.length) else asked - 1}"
            if not self.expected and pieces.etag:
                headers["If-Range"] = pieces.etag
        worker.asked = time.monotonic()
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
            worker.answered()
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
        took = time.monotonic() - (lease.first or lease.began)
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
                answer = self.client.get(url, headers, worker.link, source.url)
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
