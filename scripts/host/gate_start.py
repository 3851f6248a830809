"""Is the WebUI still starting? Its log says so. Its port is not asked: a request in the middle of its start can kill it."""
import datetime
import os
import re
import time

# Anywhere in its line: a WebUI that died over a picture left the line of its progress without an end.
MARK = re.compile(r"=== atelier start (\S+)$")
# The last: the starter gave up, and there is nothing to wait for.
OVER = re.compile(r"Startup time:|Uvicorn running on|Application startup complete|^error: webui_start:")
# How often the log is looked at, at most.
LOOK_S = 0.3
# Older than this, a start that never ended is no reason to keep anybody out: the log may have been cut.
FOREVER_S = 1800


class StartLog:
    def __init__(self, path):
        self.path = path
        self.began = None
        self.looked = 0.0
        self.file = None
        self.rest = ""
        self._read(path + ".1")
        self._look()

    def seconds(self):
        """How long the WebUI has been starting; None when it has started, or when nothing is known."""
        now = time.monotonic()
        if now - self.looked > LOOK_S:
            self.looked = now
            self._look()
        if self.began is None:
            return None
        seconds = time.time() - self.began
        return seconds if seconds < FOREVER_S else None

    def last_words(self, pattern, count=200_000):
        """The last line of the log's end that fits, short; or nothing."""
        try:
            with open(self.path, "rb") as file:
                file.seek(max(0, os.path.getsize(self.path) - count))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        found = [line.strip() for line in lines if re.search(pattern, line)]
        return found[-1][:300] if found else ""

    def _look(self):
        """Reads on. The log is moved away when it is large; then a new one begins."""
        try:
            now = os.stat(self.path)
        except OSError:
            return
        if self.file and (os.fstat(self.file.fileno()).st_ino != now.st_ino or self.file.tell() > now.st_size):
            self._take(self.file.read())
            self.file.close()
            self.file = None
        if not self.file:
            try:
                self.file = open(self.path, "rb")
            except OSError:
                return
        self._take(self.file.read())

    def _read(self, path):
        try:
            with open(path, "rb") as file:
                self._take(file.read())
        except OSError:
            pass

    def _take(self, data):
        if not data:
            return
        lines = (self.rest + data.decode("utf-8", "replace")).split("\n")
        self.rest = lines.pop()[-1000:]
        for line in lines:
            start = MARK.search(line)
            if start:
                self.began = began_at(start[1])
            elif self.began is not None and OVER.search(line):
                self.began = None


def began_at(text):
    """Seconds since the epoch, of `2026-01-31T12:00:00Z`."""
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
    except ValueError:
        return time.time()
