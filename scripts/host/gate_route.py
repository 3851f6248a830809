"""Each request's way through the gate: the door, the start, then drawing, options, or straight on."""
import asyncio
import logging
import time

from aiohttp import web

from gate_answers import as_json, problem
from gate_draw import CALLS
from gate_pass import starting

log = logging.getLogger("gate")

# Asked every second by whoever waits: not worth a line each.
QUIET = ("/sdapi/v1/progress", "/internal/progress", "/internal/ping", "/internal/gate")


class Gate:
    def __init__(self, config, doorkeeper, starts, passage, drawing, options):
        self.config = config
        self.doorkeeper = doorkeeper
        self.starts = starts
        self.passage = passage
        self.drawing = drawing
        self.options = options

    async def handle(self, request):
        """What aiohttp calls; one line in the log for each."""
        began = time.monotonic()
        # What the log says of who hung up; a websocket's end is no different.
        status = 101 if is_websocket(request) else 499
        try:
            response = await self.answer(request)
            status = response.status
            if not response.prepared:
                self.own(request, response)
            return response
        except asyncio.CancelledError:
            raise
        except Exception:
            status = 500
            log.exception("the gate could not answer %s %s", request.method, request.path)
            return problem(500, "GateError", "The gate itself failed; its log (logs/gate.log) says why")
        finally:
            self.note(request, status, time.monotonic() - began)

    async def answer(self, request) -> web.StreamResponse:
        path = request.path
        # An address in the place of a path would lead elsewhere.
        if not request.raw_path.startswith("/"):
            return problem(400, "BadPath", "A path begins with /")
        # A browser's question whether it may ask from another page; it carries no password, and the WebUI's answer no secret.
        preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        entering = request.method == "POST" and path.rstrip("/") == "/login"
        if not preflight and not entering:
            refused = self.doorkeeper.refusal(request)
            if refused is not None:
                return refused
            if path == "/internal/gate":
                return self.status()
        # Some callers send no body before this, and who is refused sends none at all.
        if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # What is told by now is no part of the answer.
            request.writer.output_size = 0
        if entering:
            return await self.doorkeeper.log_in(request)
        seconds = self.starts.seconds()
        if seconds is not None:
            return starting(seconds)
        headers = self.passage.headers_for(request)
        if preflight:
            # A stranger may have sent it: it goes on as one's.
            return await self.passage.forward(request, [(name, value) for name, value in headers if name != "Authorization"])
        if is_websocket(request):
            return await self.passage.websocket(request, headers)
        if request.method == "POST":
            if path in CALLS:
                return await self.drawing.draw(request, headers)
            if path == "/sdapi/v1/options":
                return await self.options.set(request, headers)
            if path == "/sdapi/v1/refresh-checkpoints":
                self.drawing.checkpoints.forget()
            if path.startswith("/sdapi/") and request.can_read_body and "Content-Type" not in request.headers:
                headers.append(("Content-Type", "application/json"))
        return await self.passage.forward(request, headers)

    def status(self):
        line, seconds = self.drawing.line, self.starts.seconds()
        return as_json(200, {
            "webui": "up" if seconds is None else "starting",
            "drawing": line.busy,
            "waiting": len(line.waiting),
            "queue": line.limit,
            "deadline": self.config.deadline,
        })  # fmt: skip

    def own(self, request, response):
        """An answer of the gate's own says so."""
        response.headers.setdefault("Server", "atelier-gate")
        if response.status >= 400 and request.can_read_body and not request.content.at_eof():
            # The rest of a refused body is not worth its way.
            response.force_close()

    def note(self, request, status, seconds):
        """No query, no header, no body: a secret may stand in each."""
        if status < 400 and request.path in QUIET:
            return
        waited = f", {request['waited']:.1f} s of them in line" if request.get("waited", 0) >= 0.05 else ""
        log.info("%s %s %s %s %.3f s%s", request.remote, request.method, shown(request.path), status, seconds, waited)


def is_websocket(request):
    return request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"


def shown(path):
    return "".join(letter if letter.isprintable() and letter != " " else "?" for letter in path[:300])
