"""What one connection has to fetch, and the races for what another one waits for."""
import time

# Of who has sent nothing for so long, another who has nothing to do asks for the same.
QUIET_S = 2.0


class Lease:
    """Bytes from `at` to `end` are one worker's to fetch; `end` moves nearer when another takes its tail, None is the unknown end."""

    def __init__(self, source, start, end):
        self.source, self.start, self.at, self.end = source, start, start, end
        self.began = self.last = time.monotonic()
        # When its first byte came.
        self.first = None
        # Leases on the same bytes, of which none has sent any for a while: they are whose that brings the next one.
        self.race = None

    def rate(self):
        """Bytes a second since the first; of a lease that has hardly begun, what its source gave before."""
        age = time.monotonic() - (self.first or self.began)
        own = (self.at - self.start) / max(0.05, age)
        return own if age > 1.0 else max(own, self.source.rate, 100_000.0)

    def left(self):
        return self.end - self.at

    def open_to(self, source, quiet):
        """Whether a connection to `source` may ask for the same. Once for each: one that is slow to answer must not be asked on and on."""
        if any(mate.source is source for mate in (self.race or [self])[1:]):
            return False
        return self.source is not source or quiet > 2 * source.wait

    def rival(self, source):
        """A lease on the same bytes. This one keeps them, should its own come first: what is robbed of all that waits long brings nothing, ever."""
        other = Lease(source, self.at, self.end)
        self.race = other.race = [*(self.race or [self]), other]
        for mate in self.race:
            mate.race = self.race
        return other

    def came(self, now):
        """Its next bytes are here: others have lost the race for them."""
        if self.first is None:
            self.first = now
            self.source.wait = now - self.began
        self.last = now
        for mate in self.leave():
            mate.end = mate.at
            mate.race = None

    def leave(self):
        """Out of its race; those that stay in it."""
        others, self.race = [mate for mate in self.race or [] if mate is not self], None
        for mate in others:
            mate.race = others if len(others) > 1 else None
        return others
