"""One GET at a time that believes nothing: redirects are followed here, so that a token reaches only the host that it is for."""
import base64
import http.client
import os
import re
import ssl
import time
import urllib.parse

from fetch_connect import connect

CONNECT_S = 15
# A server that says nothing for so long has stalled.
STALL_S = float(os.environ.get("ATELIER_FETCH_STALL_S", "20"))
# Signed links, a store behind a hub, a mirror before it: three or four are common.
REDIRECTS = 8
# A server that asks for more patience than this is left for another.
RETRY_AFTER_S = float(os.environ.get("ATELIER_FETCH_RETRY_AFTER_S", "60"))
# The proxy is a platform's accelerator: it lets a few hosts through, and no_proxy names the upstreams that are none of them.
ACCELERATED = os.environ.get("ATELIER_ACCELERATED") == "yes"
REDIRECTED = (301, 302, 303, 307, 308)


class Gone(Exception):
    """This source is of no use; the next may be."""


class Trouble(Exception):
    """This source may be of use again, after `wait` seconds where it said so."""

    def __init__(self, why, wait=None):
        super().__init__(why)
        self.wait = wait


class Answer:
    """A response whose headers are read. `claimed`: the sha256 that a hub names for the file, on its way to it."""

    def __init__(self, response, link, url, claimed):
        self.response, self.link, self.url, self.claimed = response, link, url, claimed
        self.status, self.headers = response.status, response.headers

    def read(self, most):
        try:
            return self.response.read1(most)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Trouble(reason(error)) from error

    def close(self):
        self.link.close()


class Link:
    """A connection to one server, kept for the next request."""

    def __init__(self, parts, context, direct):
        self.key = (parts.scheme, parts.netloc)
        self.through, self.headers = None, {}
        proxy = None if direct else _proxy_for(parts)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        more = {"context": context()} if parts.scheme == "https" else {}
        host, port = parts.hostname, parts.port
        if proxy:
            self.connection = kind(proxy.hostname, proxy.port or 80, timeout=min(CONNECT_S, STALL_S), **more)
            login = _login(proxy)
            if parts.scheme == "https":
                self.connection.set_tunnel(host, port or 443, headers=login)
            else:
                self.through, self.headers = proxy, login
        else:
            self.connection = kind(host, port, timeout=min(CONNECT_S, STALL_S), **more)
        self.connection._create_connection = connect

    def get(self, parts, headers):
        path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        if self.through:
            path = urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, ""))
        self.connection.request("GET", path, headers={**headers, **self.headers})
        if self.connection.sock is not None:
            self.connection.sock.settimeout(STALL_S)
        return self.connection.getresponse()

    def close(self):
        # A thread that reads from it wakes up.
        sock = self.connection.sock
        if sock is not None:
            try:
                sock.shutdown(2)
            except OSError:
                pass
        self.connection.close()


class Client:
    def __init__(self, token, token_hosts):
        self.token = token
        self.hosts = set(token_hosts)
        self.made = None
        # Servers that have answered something.
        self.heard = set()

    def context(self):
        """The machine's own authorities. Reading them takes time, which plain http does not need."""
        self.made = self.made or ssl.create_default_context()
        return self.made

    def knows(self, url):
        """Whether its server has answered before."""
        parts = urllib.parse.urlsplit(url)
        return (parts.scheme, parts.netloc) in self.heard

    def token_for(self, url):
        """The token, where the address is one that it belongs to."""
        parts = urllib.parse.urlsplit(url)
        own = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if self.token and (parts.scheme == "https" or own) and self.hosts & {parts.hostname, parts.netloc}:
            return self.token
        return None

    def get(self, url, headers, link=None, first=None):
        """Follows redirects to an answer that is none. `link` is used again where it leads to the same server, else closed.
        `first`: where the redirects began that led to `url`, earlier."""
        claimed, direct = None, past_accelerator(first or url)
        for _ in range(REDIRECTS + 1):
            parts = urllib.parse.urlsplit(_quoted(url))
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise Gone(f"it leads to {plain(url)}, which is no http address")
            kept = link is not None and link.key == (parts.scheme, parts.netloc)
            if not kept:
                if link is not None:
                    link.close()
                link = Link(parts, self.context, direct)
            own = {"User-Agent": "atelier", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
            if self.token_for(url):
                own["Authorization"] = f"Bearer {self.token}"
            try:
                response = link.get(parts, own)
            except (OSError, http.client.HTTPException) as error:
                link.close()
                if kept and not isinstance(error, TimeoutError):
                    # The server ended a connection that was idle.
                    link = None
                    continue
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise Gone(f"its certificate is not trusted ({error.verify_message})") from error
                raise Trouble(reason(error)) from error
            self.heard.add(link.key)
            named = re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', response.headers.get("X-Linked-Etag") or "")
            claimed = claimed or (named and named[1])
            if response.status not in REDIRECTED:
                return Answer(response, link, url, claimed)
            where = response.headers.get("Location")
            if not where:
                link.close()
                raise Gone(f"HTTP {response.status} without saying where to")
            link = _drained(response, link)
            url = urllib.parse.urljoin(url, where)
        link = link and link.close()
        raise Gone(f"it redirects without end ({REDIRECTS} times, then to {plain(url)})")


def refuse(answer, url):
    """Raises for a status that brings no file."""
    code = answer.status
    if code in (200, 206):
        return
    wait = retry_after(answer.headers.get("Retry-After"))
    answer.close()
    if code in (408, 425, 429) or code >= 500:
        if wait is not None and wait > RETRY_AFTER_S:
            raise Gone(f"HTTP {code}: it asks to come back in {wait:.0f} s")
        raise Trouble(f"HTTP {code}", wait)
    if code in (401, 403):
        page = re.sub(r"/resolve/.*", "", plain(url))
        if answer.link.through:
            code = f"{code} through the proxy {answer.link.through.hostname}: that lets nobody there, or"
            raise Gone(f"HTTP {code} the server wants a token, or its licence accepted at {page} (huggingfaceToken)")
        raise Gone(f"HTTP {code}: it wants a token, or its licence accepted at {page} (huggingfaceToken)")
    raise Gone(f"HTTP {code}")


def retry_after(text):
    """Seconds, of a number or a date."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    import email.utils

    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def plain(url):
    """The address without a user and a query: signed links carry secrets there."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def reason(error):
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return f"it said nothing for {STALL_S:g} s"
    if isinstance(error, http.client.IncompleteRead):
        return "it ended early"
    return str(getattr(error, "reason", "") or error) or type(error).__name__


def _drained(response, link):
    """The connection again, where the body of a redirect is short; a long one is not read."""
    try:
        if response.length is not None and response.length <= 65536:
            response.read()
            if not response.will_close:
                return link
    except (OSError, http.client.HTTPException):
        pass
    link.close()
    return None


def _quoted(url):
    """Blanks and letters beyond ASCII, as redirects carry them, in the form that a request line takes."""
    return urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")


def past_accelerator(url):
    """Whether it is asked without the accelerator that others are asked through. Then what it redirects to is, too: no list names those hosts."""
    return ACCELERATED and _proxy_for(urllib.parse.urlsplit(url)) is None


def _proxy_for(parts):
    # The environment of the job: the setting host.proxy, or the machine's own.
    names = (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper())
    proxy = next((os.environ[name] for name in names if os.environ.get(name)), None)
    spared = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    for name in (word.strip().lstrip(".") for word in spared):
        if name == "*" or (name and (parts.hostname == name or parts.hostname.endswith("." + name))):
            return None
    if not proxy:
        return None
    found = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return found if found.hostname else None


def _login(proxy):
    if not proxy.username:
        return {}
    words = f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(words.encode()).decode()}
