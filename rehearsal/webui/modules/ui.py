"""What gradio serves beside the API: the page, its configuration, files, and what stands open."""

import html
import mimetypes
import os

from modules import contract, lies, ui_defaults
from modules.auth import UiDoor
from modules.errors import HTTPException
from modules.http import Response, as_json
from modules.paths import data_path, script_path
from modules.sysinfo import sysinfo

title = "Stable Diffusion (REHEARSAL)"


def add_ui(app, shared, users):
    door = UiDoor(users)

    def closed(handler):
        def checked(request):
            door.check(request)
            return handler(request)

        return checked

    def login_check(request):
        door.check(request)
        return None

    app.add("GET", "/", lambda request: page(users and door.user_of(request) is None))
    app.add("GET", "/config", closed(lambda _: config()))
    app.add("GET", "/info", closed(lambda _: {"named_endpoints": {}, "unnamed_endpoints": {}}))
    app.add("GET", "/file=*", closed(serve_file))
    app.add("GET", "/file/*", closed(serve_file))
    app.add("GET", "/theme.css", closed(lambda _: Response("", kind="text/css; charset=utf-8")))
    app.add("GET", "/queue/status", closed(lambda _: {"msg": "estimation", "queue_size": 0}))
    app.add("GET", "/startup-events", lambda _: False)
    app.add("GET", "/robots.txt", lambda _: Response("User-agent: *\nDisallow: ", kind="text/plain; charset=utf-8"))
    app.add("POST", "/login", door.login)
    app.add("GET", "/login_check", login_check)
    app.add("GET", "/user", door.user_of)
    app.add("GET", "/token", lambda _: {"token": None, "user": None})
    app.add("GET", "/app_id", lambda _: {"app_id": door.suffix})
    add_internal(app, shared)
    add_docs(app)


def add_internal(app, shared):
    """Open to anyone, also in the real one."""
    app.add("GET", "/internal/ping", lambda _: {})
    app.add("GET", "/internal/pending-tasks", lambda _: {"size": 0, "tasks": []})
    app.add("GET", "/internal/profile-startup", lambda _: {"total": 0.0, "records": {}})
    app.add("GET", "/internal/quicksettings-hint", lambda _: [])
    app.add("GET", "/internal/sysinfo", lambda _: as_json(sysinfo(shared)))
    app.add("GET", "/internal/sysinfo-download", lambda _: as_json(sysinfo(shared)))


def add_docs(app):
    app.add("GET", "/openapi.json", lambda _: as_json(openapi(app)))
    app.add("GET", "/docs", lambda _: Response(docs, kind="text/html; charset=utf-8"))


def openapi(app):
    """The release's, and what extensions added to it."""
    told = contract.load("openapi")
    own = {}
    for method, path in app.routes:
        if path.startswith("/controlnet/"):
            own.setdefault(path, {})[method.lower()] = {}
    return {**told, "paths": {**told["paths"], **own}}


docs = """<!DOCTYPE html><html><head><title>FastAPI - Swagger UI</title></head>
<body><div id="swagger-ui">REHEARSAL: the API is described at <a href="/openapi.json">/openapi.json</a></div></body></html>
"""


def page(wants_login):
    body = "<form method=post action=/login><input name=username><input name=password type=password></form>"
    script, style = (f"file={name}?{os.path.getmtime(os.path.join(script_path, name))}" for name in ("script.js", "style.css"))
    # As the real one puts them into gradio's page, the login page too.
    head = f'<script type="text/javascript" src="{script}"></script><link rel="stylesheet" property="stylesheet" href="{style}">'
    text = f"<!doctype html><html><head><title>{html.escape(title)}</title>{head}</head><body><h1>REHEARSAL</h1>"
    text += f"<p>A stand-in for stable-diffusion-webui.</p>{body if wants_login else ''}</body></html>\n"
    return Response(text, kind="text/html; charset=utf-8")


def config():
    return {
        "version": "3.41.2",
        "mode": "blocks",
        "dev_mode": False,
        "analytics_enabled": False,
        "components": ui_defaults.components(),
        "css": None,
        "title": title,
        "is_space": False,
        "enable_queue": True,
        "show_error": True,
        "show_api": True,
        "is_colab": False,
        "stylesheets": [],
        "theme": "default",
        "layout": {"id": 0, "children": []},
        "dependencies": [],
        "root": "",
    }


def serve_file(request):
    """Anything under the WebUI's folder and its data, but for hidden files."""
    asked = request.path[len("/file=") :]
    if lies.tells("scripts-refused") and asked.endswith((".js", ".css")):
        raise HTTPException(403, f"File not allowed: {asked}.")
    path = os.path.realpath(os.path.join(script_path, asked))
    for base in (os.path.realpath(script_path), os.path.realpath(data_path)):
        inside = os.path.relpath(path, base)
        if not any(part.startswith(".") for part in inside.split(os.sep)):
            break
    else:
        raise HTTPException(403, f"File not allowed: {asked}.")
    if os.path.isdir(path):
        raise HTTPException(403, f"File not allowed: {asked}.")
    if not os.path.exists(path):
        raise HTTPException(404, f"File not found: {asked}.")
    with open(path, "rb") as file:
        return Response(file.read(), kind=mimetypes.guess_type(path)[0] or "text/plain; charset=utf-8")
