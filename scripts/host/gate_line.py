"""The line before the GPU: one draws, the others wait in order of arrival, and so many at most."""
import asyncio
from collections import deque


class Full(Exception):
    """Nobody more may wait."""


class Line:
    def __init__(self, limit):
        self.limit = limit
        self.busy = False
        self.waiting = deque()
        # Seconds that a turn took of late: what to tell those who are sent away.
        self.usual = 5.0

    def full(self):
        return self.busy and len(self.waiting) >= self.limit

    def soon(self):
        """Seconds until a place is free, roughly."""
        return min(300.0, max(1.0, self.usual))

    async def turn(self, timeout=None):
        """Waits for its turn, and gives a Turn that must be ended. Raises Full; asyncio.TimeoutError after so many seconds."""
        if not self.busy:
            self.busy = True
            return Turn(self)
        if len(self.waiting) >= self.limit:
            raise Full
        place = asyncio.get_running_loop().create_future()
        self.waiting.append(place)
        try:
            # Not wait_for: it swallows a cancellation that comes in the moment of success.
            done, _ = await asyncio.wait({place}, timeout=timeout)
            if not done:
                raise asyncio.TimeoutError
        except BaseException:
            if place.done():
                # Its turn came in the very moment that it left.
                self.next()
            else:
                self.waiting.remove(place)
                place.cancel()
            raise
        return Turn(self)

    def next(self):
        while self.waiting:
            place = self.waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.busy = False


class Turn:
    def __init__(self, line):
        self.line = line
        self.began = asyncio.get_running_loop().time()
        self.over = False

    def end(self):
        """Lets the next one in; a second time does nothing."""
        if self.over:
            return
        self.over = True
        took = asyncio.get_running_loop().time() - self.began
        self.line.usual = 0.7 * self.line.usual + 0.3 * took
        self.line.next()
