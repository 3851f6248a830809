"""A small HTTP server: requests to handlers, and errors to the answers of the real one."""

import http.server
import json
import socket
import threading
import time
import traceback
import urllib.parse

from modules import lies
from modules.errors import HTTPException, ValidationError


class Response:
    def __init__(self, body=b"", status=200, kind="application/json", headers=()):
        self.body = body.encode() if isinstance(body, str) else body
        self.status = status
        self.kind = kind
        self.headers = list(headers)


def as_json(value, status=200, headers=()):
    return Response(json.dumps(value, ensure_ascii=False, separators=(",", ":")), status, "application/json", headers)


class Request:
    def __init__(self, method, target, headers, body):
        path, _, query = target.partition("?")
        self.method = method
        self.path = urllib.parse.unquote(path)
        self.query = dict(urllib.parse.parse_qsl(query))
        self.headers = headers
        self.body = body


class App:
    """Routes that may grow while it serves, as the real one's do."""

    def __init__(self):
        self.routes = {}
        self.prefixes = []
        # Whether a request came since the port opened: see the start-up race.
        self.touched = False

    def add(self, method, path, handler):
        if path.endswith("*"):
            self.prefixes.append((method, path[:-1], handler))
        else:
            self.routes[method, path] = handler

    def answer(self, request):
        self.touched = True
        method = "GET" if request.method == "HEAD" else request.method
        path = request.path if request.path == "/" else request.path.rstrip("/")
        handler = self.routes.get((method, path))
        if handler is None:
            for other, prefix, candidate in self.prefixes:
                if other == method and request.path.startswith(prefix):
                    handler = candidate
        if handler is None:
            others = [other for other, known in self.routes if known == path]
            if others:
                return as_json({"detail": "Method Not Allowed"}, 405, [("allow", ", ".join(others))])
            return as_json({"detail": "Not Found"}, 404)
        try:
            answer = handler(request)
            return answer if isinstance(answer, Response) else as_json(answer)
        except ValidationError as error:
            return as_json({"detail": error.mistakes}, 422)
        except Exception as error:  # noqa: BLE001
            return failure(request, error)


def failure(request, error):
    """The API's form of an error; elsewhere gradio's."""
    status = getattr(error, "status_code", 500)
    detail = getattr(error, "detail", "")
    if not request.path.startswith("/sdapi/"):
        if isinstance(error, HTTPException):
            return as_json({"detail": detail}, status)
        traceback.print_exc()
        return Response("Internal Server Error", 500, "text/plain; charset=utf-8")
    if not isinstance(error, HTTPException):
        print(f"*** API error: {request.method}: {request.path} {type(error).__name__}: {error}")
    return as_json({"error": type(error).__name__, "detail": detail, "body": "", "errors": str(error)}, status)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "uvicorn"
    sys_version = ""
    timeout = 30
    disable_nagle_algorithm = True

    def handle_one(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else b""
        while lies.tells("hang"):
            time.sleep(0.1)
        response = self.server.app.answer(Request(self.command, self.path, self.headers, body))
        self.send_response(response.status)
        self.send_header("content-type", response.kind)
        self.send_header("content-length", str(len(response.body)))
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_one

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self):
        # Without the look-up of the host's name that the library would make.
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        # Clients hang up; that is no news.
        pass


def serve(app, address, port):
    """Opens the port and serves in a thread. Raises OSError when the port is taken."""
    server = Server((address, port), Handler)
    server.app = app
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
