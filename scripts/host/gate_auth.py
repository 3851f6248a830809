"""The one door: HTTP Basic, or the cookie that a browser got for it; and what wrong guesses cost."""
import asyncio
import base64
import binascii
import hmac
import time
from collections import OrderedDict

from aiohttp import web

from gate_answers import as_json, problem

COOKIE_S = 7 * 86400
# Wrong guesses that an address has at once, and how many it gets back a second. The right password is never refused:
# behind a platform's proxy everybody has one address, and nobody may lock the others out.
GUESSES = 100
GUESSES_A_SECOND = 1.0
ADDRESSES = 10_000
LOGIN_BYTES = 10_000
LOGIN_S = 30
# Paths whose callers are programs: a browser's dialogue would be of no use to them.
API = ("/sdapi/", "/controlnet/")


class Guesses:
    """How many wrong guesses each address has left."""

    def __init__(self, clock=time.monotonic):
        self.clock = clock
        self.left = OrderedDict()

    def spend(self, address):
        """Seconds to wait before the next guess is looked at kindly; 0 while there are some left."""
        now = self.clock()
        count, since = self.left.pop(address, (GUESSES, now))
        count = min(GUESSES, count + (now - since) * GUESSES_A_SECOND) - 1
        self.left[address] = (max(count, -1.0), now)
        while len(self.left) > ADDRESSES:
            self.left.popitem(last=False)
        return 0.0 if count >= 0 else 1 / GUESSES_A_SECOND


class Doorkeeper:
    def __init__(self, login):
        self.login = login
        self.guesses = Guesses()
        # Of the password alone: a restart keeps sessions, another password ends them; another box behind the same name has other cookies.
        self.key = hmac.digest(login, b"atelier gate session", "sha256")
        self.cookie = "atelier_gate_" + hmac.digest(self.key, b"name", "sha256").hex()[:8]

    def refusal(self, request):
        """None for who may enter, else the answer that says no."""
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            if self._session(request.cookies.get(self.cookie, "")):
                return None
            return self._refused(request, "Not authenticated")
        try:
            value = base64.b64decode(value.strip(), validate=True)
        except (binascii.Error, ValueError):
            return self._guessed(request, "Invalid authentication credentials")
        if hmac.compare_digest(value, self.login):
            return None
        return self._guessed(request, "Incorrect username or password")

    def welcome(self, request, response):
        """A browser that said the password gets a cookie: some don't send passwords with websockets."""
        if "Authorization" in request.headers and "text/html" in request.headers.get("Accept", ""):
            self._give_cookie(request, response)

    async def log_in(self, request):
        """POST /login, as gradio's own form and its Python client do it."""
        if (request.content_length or 0) > LOGIN_BYTES:
            return problem(413, "TooLarge", "A login has two short words")
        try:
            form = await asyncio.wait_for(request.post(), LOGIN_S)
        except asyncio.TimeoutError:
            return problem(408, "TooSlow", f"The login did not come whole within {LOGIN_S} s")
        except Exception:
            # A broken form is a wrong login, however it is broken.
            form = {}
        given = f"{form.get('username', '')}:{form.get('password', '')}".encode("utf-8", "replace")
        if not hmac.compare_digest(given, self.login):
            refused = self._guessed(request, "Incorrect credentials.")
            return refused if refused.status == 429 else as_json(400, {"detail": "Incorrect credentials."})
        response = as_json(200, {"success": True})
        self._give_cookie(request, response)
        return response

    def others(self, header):
        """A Cookie header without ours: the WebUI has no use for it."""
        kept = [part for part in header.split(";") if part.strip().partition("=")[0] != self.cookie]
        return ";".join(kept).strip()

    def _give_cookie(self, request, response):
        ends = str(int(time.time()) + COOKIE_S)
        value = f"{ends}.{self._seal(ends)}"
        secure = request.headers.get("X-Forwarded-Proto", "") == "https"
        response.set_cookie(self.cookie, value, max_age=COOKIE_S, path="/", httponly=True, samesite="Lax", secure=secure)

    def _session(self, value):
        ends, _, seal = value.partition(".")
        return ends.isdecimal() and len(ends) < 16 and hmac.compare_digest(seal.encode(), self._seal(ends).encode()) and int(ends) > time.time()

    def _seal(self, ends):
        return hmac.digest(self.key, ends.encode(), "sha256").hex()

    def _guessed(self, request, why):
        wait = self.guesses.spend(request.remote or "")
        if wait:
            return problem(429, "TooManyGuesses", "Too many wrong passwords from this address; try again in a moment", retry=wait)
        return self._refused(request, why)

    def _refused(self, request, why) -> web.Response:
        asks = {} if request.path.startswith(API) else {"WWW-Authenticate": 'Basic realm="Stable Diffusion WebUI", charset="UTF-8"'}
        return as_json(401, {"error": "HTTPException", "detail": why, "body": "", "errors": ""}, asks)
