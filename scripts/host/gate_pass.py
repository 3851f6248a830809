"""What is passed on as it is: any call, its body and its answer in pieces, and websockets."""
import asyncio
import logging

import aiohttp
from aiohttp import WSMsgType, web

from gate_answers import HOP, explained, problem

log = logging.getLogger("gate")

PIECE = 2**20
# Errors are short; a longer one is passed on as it came.
ERROR_BYTES = 2**18


class Passage:
    def __init__(self, upstream, starts, doorkeeper):
        self.upstream = upstream
        self.starts = starts
        self.doorkeeper = doorkeeper

    def headers_for(self, request):
        """The caller's own, but for what means its connection to us, its password and our cookie."""
        dropped = dropped_by(request.headers) | {"authorization", "x-forwarded-for", "content-length"}
        headers = []
        for name, value in request.headers.items():
            low = name.lower()
            if low == "cookie":
                value = self.doorkeeper.others(value)
            if value and low not in dropped:
                headers.append((name, value))
        before = request.headers.getall("X-Forwarded-For", [])
        headers.append(("X-Forwarded-For", ", ".join([*before, request.remote or "unknown"])))
        if "X-Forwarded-Proto" not in request.headers:
            headers.append(("X-Forwarded-Proto", "http"))
        headers.append(("Authorization", self.upstream.authorization))
        return headers

    async def forward(self, request, headers):
        """A whole exchange that waits for nobody."""
        data = pieces_of(request) if request.can_read_body else None
        try:
            answer = await self.send(request, headers, data, request.headers.get("Content-Length"))
        except (aiohttp.ClientError, OSError) as error:
            return self.silence(error)
        return await self.give_back(request, answer)

    async def send(self, request, headers, data, length):
        """Gives the WebUI's answer once its head is there. The caller must give it back or release it."""
        if length is not None:
            headers = [*headers, ("Content-Length", str(length))]
        return await self.upstream.session.request(
            request.method, self.upstream.url(request.raw_path), data=data, headers=headers, allow_redirects=False
        )

    async def give_back(self, request, answer):
        """Streams an answer to the caller; errors of the API get their reason."""
        try:
            if explains(request, answer):
                return explained(answer.status, await answer.read(), answer.content_type)
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            dropped = dropped_by(answer.headers)
            for name, value in answer.headers.items():
                if name.lower() not in dropped:
                    response.headers.add(name, value)
            bodyless = request.method == "HEAD" or answer.status in (204, 304)
            if not bodyless and "Content-Length" not in answer.headers and request.version >= (1, 1):
                response.enable_chunked_encoding()
            self.doorkeeper.welcome(request, response)
            await response.prepare(request)
            if not bodyless:
                async for piece in answer.content.iter_chunked(PIECE):
                    await response.write(piece)
            await response.write_eof()
            return response
        except (aiohttp.ClientError, OSError) as error:
            # Its head is out, so all that is left to say is that it is not whole.
            log.warning("an answer to %s %s was cut: %s", request.method, request.path, type(error).__name__)
            if request.transport is not None:
                request.transport.abort()
            raise asyncio.CancelledError from error
        finally:
            answer.release()

    def silence(self, error):
        """The WebUI gave no answer: what that means."""
        seconds = self.starts.seconds()
        if seconds is not None:
            return starting(seconds)
        if isinstance(error, (aiohttp.ClientConnectorError, ConnectionRefusedError)):
            text = "The WebUI does not run; its service manager starts it again within seconds, unless it was stopped. Its log: logs/webui.log"
            return problem(503, "WebuiDown", text, retry=5)
        if isinstance(error, asyncio.TimeoutError):
            text = "The WebUI is too busy to answer: it loads a model, or its machine is short of memory. Its log: logs/webui.log"
            return problem(503, "WebuiBusy", text, retry=10)
        text = f"The WebUI ended before its answer ({type(error).__name__}): out of memory, or it was restarted. Its log: logs/webui.log"
        return problem(502, "WebuiEnded", text, retry=10)

    async def websocket(self, request, headers):
        """gradio's queue, and whatever else speaks so: both ends' words as they come."""
        protocols = [word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if word.strip()]
        kept = [(name, value) for name, value in headers if not name.lower().startswith("sec-websocket-")]
        try:
            inner = await self.upstream.session.ws_connect(
                self.upstream.url(request.raw_path), headers=kept, protocols=protocols, max_msg_size=0, autoping=False, autoclose=False, compress=0
            )
        except aiohttp.WSServerHandshakeError as error:
            return problem(error.status if error.status >= 400 else 502, "NoWebsocket", f"The WebUI opens no websocket at {request.path}")
        except (aiohttp.ClientError, OSError) as error:
            return self.silence(error)
        outer = web.WebSocketResponse(protocols=[inner.protocol] if inner.protocol else (), max_msg_size=0, autoping=False, autoclose=False, compress=False)
        try:
            await outer.prepare(request)
            pumps = [asyncio.ensure_future(pump(outer, inner)), asyncio.ensure_future(pump(inner, outer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in pumps:
                    one.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            await inner.close()
        await outer.close()
        return outer


async def pump(source, sink):
    """Until one of them closes."""
    while True:
        message = await source.receive()
        if message.type == WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        elif message.type == WSMsgType.PING:
            await sink.ping(message.data)
        elif message.type == WSMsgType.PONG:
            await sink.pong(message.data)
        else:
            if message.type == WSMsgType.CLOSE:
                await sink.close(code=message.data or 1000, message=(message.extra or "").encode())
            return


def explains(request, answer):
    """A compressed answer goes on as it came: its caller asked for it so, and can read it."""
    short = (answer.content_length or 0) <= ERROR_BYTES and "Content-Encoding" not in answer.headers
    return short and answer.status >= 500 and request.path.startswith("/sdapi/")


def dropped_by(headers):
    """What means one connection only, by its name or because Connection says so."""
    return HOP | {word.strip().lower() for word in headers.get("Connection", "").split(",")}


async def pieces_of(request):
    async for piece in request.content.iter_chunked(PIECE):
        yield piece


def starting(seconds):
    text = f"The WebUI is starting, for {seconds:.0f} s now; a first start takes a minute or more"
    # A browser's tab asks again by itself.
    return problem(503, "WebuiStarting", text, retry=5, headers={"Refresh": "5"})
