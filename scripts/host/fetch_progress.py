"""How far the files of one request are, said every 2 s."""
import json
import sys
import threading
import time


class Progress:
    def __init__(self, files):
        self.lock = threading.Lock()
        self.totals = {id(file): file["bytes"] or 0 for file in files}
        self.done = {id(file): 0 for file in files}
        self.skipped = set()
        self.waits = {}
        self.began = time.monotonic()
        self.samples = []

    def total(self, file, size):
        with self.lock:
            self.totals[id(file)] = size

    def at(self, file, size):
        """The file has this many bytes now."""
        with self.lock:
            self.done[id(file)] = size

    def waiting(self, file, why):
        """No server sends anything of it now, and why; or None."""
        with self.lock:
            self.waits[id(file)] = why

    def reset(self, file):
        self.at(file, 0)

    def skip(self, file):
        """It is in the store already; it does not count."""
        with self.lock:
            self.skipped.add(id(file))

    def line(self):
        with self.lock:
            live = [key for key in self.totals if key not in self.skipped]
            total = sum(self.totals[key] for key in live)
            done = sum(self.done[key] for key in live)
            why = next((why for why in self.waits.values() if why), "")
        now = time.monotonic()
        self.samples = [s for s in self.samples if now - s[0] < 10] + [(now, done)]
        then, before = self.samples[0]
        speed = max(0.0, (done - before) / (now - then)) if now > then else 0.0
        facts = {"step": "models", "bytes": done, "total": total, "speed": round(speed)}
        waits = f", waiting for {why or 'the server'}"
        if not total:
            return f"models {done / 1e6:.0f} MB, {speed / 1e6:.1f} MB/s{waits if why and speed <= 1000 else ''}", facts
        percent = min(100, 100 * done // total)
        facts["percent"] = percent
        if done >= total:
            # A large file's sum and the disk are behind what came, by seconds or by minutes.
            return f"models {percent} %, checking what came and writing it to the disk", facts
        left = f", {round((total - done) / speed)} s left" if speed > 1000 else waits
        return f"models {percent} % {speed / 1e6:.{0 if speed > 1e7 else 1}f} MB/s{left}", facts

    def run(self, stop):
        self.line()
        while not stop.wait(2):
            text, facts = self.line()
            print(f"{text}\n@{json.dumps(facts)}", file=sys.stderr, flush=True)
