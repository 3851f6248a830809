"""The WebUI behind the gate: connections to it, with its password, and what is asked of it on the gate's own account."""
import asyncio
import base64
import json

import aiohttp
from yarl import URL

# Small answers are awaited so long; a WebUI that draws still answers them within a second.
ASK_S = 10


class Unreachable(Exception):
    """It did not answer, or not as it should."""


class Upstream:
    def __init__(self, port, login):
        self.base = f"http://127.0.0.1:{port}"
        self.authorization = "Basic " + base64.b64encode(login).decode()
        self.session = aiohttp.ClientSession(
            # 2 s: the WebUI itself closes idle connections after 5 s, so none of ours is cut in the middle of a request.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2, use_dns_cache=False, enable_cleanup_closed=False),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=65536,
            max_field_size=65536,
            read_bufsize=2**20,
        )

    async def close(self):
        await self.session.close()

    def url(self, target):
        """target: path and query as they came, beginning with a slash."""
        return URL(self.base + target, encoded=True)

    async def ask(self, path, body=None, timeout=ASK_S):
        """(status, JSON) of a small call of our own. Raises Unreachable."""
        method = "GET" if body is None else "POST"
        try:
            async with self.session.request(
                method, self.url(path), json=body, headers={"Authorization": self.authorization}, timeout=aiohttp.ClientTimeout(total=timeout)
            ) as answer:
                return answer.status, json.loads(await answer.read() or b"null")
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            raise Unreachable(f"{method} {path}: {type(error).__name__} {error}") from error
