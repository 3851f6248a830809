"""Which source is to blame when a file is whole and wrong: a part of Download."""
import hashlib

from fetch_http import Gone, Trouble, refuse

SAMPLE = 1 << 16


class Blame:
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
