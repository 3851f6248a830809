"""Is the WebUI ready? `wait`: until a picture was made with the asked model, or the log says that it never will; `check`: one short question.

Standard input: url, log, timeout, model, starter, user, password; key and value between a tab.
The port is not asked before the log says that the start is over: a request that lands in the middle of it kills the WebUI
(its interface opens the port before its API is added).
"""
import base64
import glob
import json
import os
import re
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

STARTED = re.compile(r"Startup time:|Uvicorn running on|Application startup complete")
START_MARK = "=== atelier start"
# (line in the log, what it means and what to do). A model's failure is final: every later picture waits for minutes and fails too.
LOST = r"Stable diffusion model failed to load"
FATAL = [
    (LOST, "the model could not be loaded; is the file whole, and of a family that this WebUI knows?"),
    (r"Can't load tokenizer for", "the tokenizer is not in data/hf, and the hub is not asked: apply the step models again"),
    (r"Cannot find empty port in range", "the port is taken: see who listens on it, or set another webui.port"),
    (r"Torch is not able to use GPU", "torch does not see the GPU: does nvidia-smi work on the host? (host.gpu none for a CPU)"),
    (r"Found no NVIDIA driver(?!.*memory monitor disabled)", "torch finds no NVIDIA driver (host.gpu none for a CPU)"),
    (r"no kernel image is available", "torch was not built for this GPU's architecture: choose another box (for an RTX 50xx: webui.torch cu128)"),
    (r"CUDA out of memory|OutOfMemoryError", "the GPU's memory is full: is something else on it? (--medvram in webui.flags)"),
    (r"too many values to unpack", "the WebUI could not read its credentials"),
    (r"unrecognized arguments:", "the WebUI does not know one of webui.flags"),
    (r"error: webui_start:", "the starter refused"),
]
# Why a checkpoint was lost, where the log says so before. An embedding that the WebUI refuses is told in the same words, and keeps it from nothing.
WHY_LOST = [
    (
        r"bad file inside .*/Stable-diffusion/.*/\.(format_version|storage_alignment)\b",
        "the checkpoint was saved by torch 2.6 or newer, in a form that this WebUI refuses on any torch: take its .safetensors, or save it as one",
    ),
    (r"Error verifying pickled file from .*/Stable-diffusion/.*\n.*may be malicious", "the WebUI reads no code from a checkpoint, and found some in this one: take its .safetensors"),
]
# What a WebUI that has started outlives: somebody's picture was too large, an extension's code broke.
PASSING = r"CUDA out of memory|OutOfMemoryError|too many values to unpack"
RACE = "Cannot add middleware after an application has started"
POLL_S = 0.25
RESTARTS = 3


class NotReady(Exception):
    pass


class Log:
    """The log since the service's last start; it survives rotation."""

    def __init__(self, path):
        self.path = path
        self.starts = 0
        # The last start was so long ago that nothing of it is left in the last two files: a start does not fill one.
        self.old = False

    def lines(self):
        try:
            with open(self.path, encoding="utf-8", errors="replace") as stream:
                text = stream.read()
        except OSError:
            return []
        if START_MARK not in text and os.path.exists(self.path + ".1"):
            with open(self.path + ".1", encoding="utf-8", errors="replace") as stream:
                text = stream.read() + text
            self.old = START_MARK not in text
        else:
            self.old = False
        self.starts = text.count(START_MARK)
        return text.rpartition(START_MARK)[2].splitlines()


class Webui:
    def __init__(self, request):
        self.url = request["url"]
        login = f"{request.get('user', '')}:{request.get('password', '')}".encode()
        self.login = "Basic " + base64.b64encode(login).decode()
        # A proxy of the platform would answer in the WebUI's place.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, path, body=None, timeout=30.0):
        """(status, JSON or text). Raises OSError when nothing answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Authorization": self.login, "Content-Type": "application/json"})
        try:
            with self.opener.open(request, timeout=timeout) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text[:200].decode("utf-8", "replace")


def say(text):
    print(f"ready: {text}", file=sys.stderr, flush=True)


def tail(lines, count=12):
    shown = [line[:300] for line in lines if line.strip()][-count:]
    return "\n".join("    " + line for line in shown)


def fatal(lines, past=0):
    """`past`: so many lines were said by a WebUI that had started, before anybody waited for it."""
    for number, line in enumerate(lines):
        for pattern, meaning in FATAL:
            if re.search(pattern, line) and not (number < past and re.search(PASSING, line)):
                if pattern == LOST:
                    meaning = next((why for known, why in WHY_LOST if re.search(known, "\n".join(lines))), meaning)
                raise NotReady(f"{meaning}\n  The log says: {line.strip()[:300]}\n  and ends with:\n{tail(lines)}")


def processes(starter):
    """The WebUI's processes: `python <workspace>/bin/webui_start.py …`."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as stream:
                words = stream.read().split(b"\0")
        except OSError:
            continue
        if len(words) > 1 and words[1].decode("utf-8", "replace") == starter:
            yield int(path.split("/")[2])


class Watch:
    """Follows the log: how often it was started since we look, whether it crashed, whether it is up."""

    def __init__(self, request):
        self.log = Log(request["log"])
        self.starter = request["starter"]
        self.lines = self.log.lines()
        self.first = self.log.starts
        self.past = len(self.lines) if self.started() else 0
        self.raced = 0
        self.gone_since = None

    def look(self):
        self.lines = self.log.lines()
        fatal(self.lines, self.past if self.log.starts == self.first else 0)
        if any(RACE in line for line in self.lines):
            self._race()
        restarts = self.log.starts - self.first - self.raced
        if restarts >= RESTARTS:
            raise NotReady(f"the WebUI ended and was started again {restarts} times. Its log ends with:\n{tail(self.lines)}")
        if any(True for _ in processes(self.starter)):
            self.gone_since = None
        else:
            self.gone_since = self.gone_since or time.monotonic()
            if time.monotonic() - self.gone_since > 30:
                raise NotReady(f"the WebUI does not run and nobody starts it. Its log ends with:\n{tail(self.lines)}")

    def _race(self):
        """The API of this process will never come; it would sit on its port for minutes. Its manager starts another."""
        if self.raced >= 2:
            raise NotReady(f"the WebUI's start was disturbed {self.raced + 1} times by requests to its port: does something poll it? The log ends with:\n{tail(self.lines)}")
        self.restart("the WebUI's start was disturbed by a request to its port (its API did not come up)")

    def restart(self, why):
        """Ends it, for its manager to start another, which counts for no crash."""
        self.raced += 1
        say(f"{why}; starting it again")
        starts = self.log.starts
        for pid in processes(self.starter):
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(POLL_S)
            self.lines = self.log.lines()
            if self.log.starts > starts:
                return
        raise NotReady(f"{why}; it was ended, and its manager did not start it again within 60 s")

    def started(self):
        return self.log.old or any(STARTED.search(line) for line in self.lines)


def wait_started(watch, deadline):
    told = time.monotonic()
    while True:
        watch.look()
        if watch.started():
            return
        if time.monotonic() > deadline:
            raise NotReady(f"the WebUI did not finish its start in time. Its log ends with:\n{tail(watch.lines)}")
        if time.monotonic() - told > 4:
            told = time.monotonic()
            say("starting: " + ([line for line in watch.lines if line.strip()] or ["no log yet"])[-1].strip()[:120])
        time.sleep(POLL_S)


def revive(webui, watch, patience):
    """A WebUI that answers not even a list, as when its log's reader hung until the pipe was full, never draws: it would be waited for to the end, each time."""
    try:
        webui.call("/sdapi/v1/sd-models", timeout=patience)
    except OSError as error:
        # Else it went away: the log and its process tell. A call that was not even taken is wrapped.
        if isinstance(getattr(error, "reason", error), socket.timeout):
            watch.restart(f"the WebUI has started, and did not answer within {patience:.0f} s")


def ask_picture(webui, watch, body, deadline):
    """txt2img in a thread of its own; meanwhile the log may say that it is in vain."""
    box = {}

    def ask():
        try:
            box["answer"] = webui.call("/sdapi/v1/txt2img", body, max(5.0, deadline - time.monotonic()))
        except Exception as error:
            box["error"] = error

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    told = time.monotonic()
    while thread.is_alive():
        thread.join(POLL_S)
        if not box:
            watch.look()
        if time.monotonic() > deadline:
            raise NotReady(f"no picture in time. The log ends with:\n{tail(watch.lines)}")
        if time.monotonic() - told > 4:
            told = time.monotonic()
            say("waiting for the first picture")
    return box


def wait(request):
    began = time.monotonic()
    deadline = began + float(request["timeout"])
    webui, watch = Webui(request), Watch(request)
    wanted = os.path.splitext(os.path.basename(request["model"]))[0]
    body = {"prompt": "a lighthouse", "steps": 1, "width": 64, "height": 64, "seed": 1, "sampler_name": "Euler", "save_images": False}
    switched = False
    if watch.past:
        revive(webui, watch, min(60.0, float(request["timeout"]) / 4))
    while True:
        wait_started(watch, deadline)
        box = ask_picture(webui, watch, body, deadline)
        status, answer = box.get("answer", (0, str(box.get("error"))))
        if status == 200 and isinstance(answer, dict) and answer.get("images"):
            info = json.loads(answer.get("info") or "{}")
            used = info.get("sd_model_name")
            if not wanted or used == wanted:
                return {"model": used, "hash": info.get("sd_model_hash"), "seconds": round(time.monotonic() - began, 1)}
            if switched:
                raise NotReady(f"the model {request['model']} can't be loaded: asked for it, the WebUI still draws with {used}. Its log ends with:\n{tail(watch.lines)}")
            switched = True
            say(f"it draws with {used}; asking for {request['model']}")
            webui.call("/sdapi/v1/refresh-checkpoints", {}, 60)
            code, why = webui.call("/sdapi/v1/options", {"sd_model_checkpoint": request["model"]}, max(5.0, deadline - time.monotonic()))
            if code != 200:
                raise NotReady(f"the WebUI does not take the model {request['model']}: HTTP {code} {why}")
        elif status in (401, 403):
            raise NotReady(f"the WebUI refuses the user {request.get('user')} and the password of the settings (HTTP {status}): apply the steps config and service again")
        elif status >= 500:
            watch.look()
            raise NotReady(f"the WebUI answers a picture of 64x64 with HTTP {status}: {json.dumps(answer)[:400]}. Its log ends with:\n{tail(watch.lines)}")
        elif status not in (0, 404):
            raise NotReady(f"the WebUI answers a picture of 64x64 with HTTP {status}: {json.dumps(answer)[:400]}")
        # 404: the API's routes come one by one, a little after the port. 0: it went away again.
        if time.monotonic() > deadline:
            raise NotReady(f"the API did not come up in time (HTTP {status}: {answer}). The log ends with:\n{tail(watch.lines)}")
        time.sleep(POLL_S)


def check(request):
    watch = Watch(request)
    if not watch.started():
        raise NotReady("the WebUI has not finished its start")
    try:
        status, _ = Webui(request).call("/sdapi/v1/sd-models", timeout=3)
    except OSError as error:
        raise NotReady(f"its API does not answer ({error})") from error
    if status != 200:
        raise NotReady(f"its API answers with HTTP {status}")


def main():
    request = dict(line.rstrip("\n").split("\t", 1) for line in sys.stdin if "\t" in line)
    try:
        if sys.argv[1] == "check":
            check(request)
        else:
            print(json.dumps(wait(request)))
    except NotReady as why:
        print(f"error: ready: {why}" if sys.argv[1] == "wait" else why, file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)


main()
