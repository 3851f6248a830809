"""The sha256 of a file that grows from its beginning: when its last byte comes, the sum is nearly done, and so is the writing to the disk."""
import hashlib
import os
import threading
import time

# What is left of it when the last byte comes is waited for.
BLOCK = 256 << 10


class Prefix:
    def __init__(self, pieces):
        self.pieces = pieces
        self.stopped = False
        self.failed = None
        self.identity = None
        self.wake = threading.Condition()
        self._begin()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.over = threading.Event()
        threading.Thread(target=self._flush, daemon=True).start()

    def _begin(self):
        self.wiped = self.pieces.wiped
        self.digest = hashlib.sha256()
        self.at = 0

    def _run(self):
        handle = os.open(self.pieces.path, os.O_RDONLY)
        self.identity = _identity(os.fstat(handle))
        try:
            while not self.stopped:
                with self.wake:
                    if self.wiped != self.pieces.wiped:
                        self._begin()
                    wiped, at = self.wiped, self.at
                    ready = self.pieces.frontier() - at
                    whole = self.pieces.whole()
                    # Blocks of one size, and the rest at the end.
                    if ready < BLOCK and not (whole and ready > 0):
                        self.wake.wait(0.005 if ready > 0 or whole else 0.1)
                        continue
                block = os.pread(handle, min(ready, BLOCK), at)
                if not block:
                    raise OSError(f"{self.pieces.path} is shorter than what was written to it")
                self.digest.update(block)
                with self.wake:
                    if wiped == self.wiped:
                        self.at += len(block)
                        self.wake.notify_all()
        except OSError as error:
            self.failed = error
        finally:
            os.close(handle)

    def _flush(self):
        """So that the last fsync finds little to do. A slow disk has two thirds of its time for others."""
        with open(self.pieces.path, "rb") as stream:
            took = 0.0
            while not self.over.wait(max(0.1, 2 * took)):
                began = time.monotonic()
                os.fdatasync(stream.fileno())
                took = time.monotonic() - began

    def result(self):
        """Of the whole file; waits for the last bytes."""
        with self.wake:
            self.wake.notify_all()
            while self.wiped != self.pieces.wiped or self.at < self.pieces.length:
                if self.failed:
                    raise self.failed
                self.wake.wait(0.05)
            return self.digest.hexdigest()

    def reads(self, path):
        """Whether that is the file that it has open."""
        return self.identity == _identity(os.stat(path))

    def stop(self):
        with self.wake:
            self.stopped = True
            self.wake.notify_all()
        self.over.set()
        self.thread.join(5)


def _identity(status):
    return status.st_dev, status.st_ino
