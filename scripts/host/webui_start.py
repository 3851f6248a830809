#!/usr/bin/env python3
"""Starts the WebUI with its login taken from a file.

    ATELIER_CREDENTIALS=data/credentials ATELIER_WEBUI=src/webui python bin/webui_start.py --port 8080 --listen --api ...

The arguments are the WebUI's own. ATELIER_GATE=1: the gate (gate.py) stands before it and asks for the password, so there is no login of the
UI's own; whoever comes without the gate is asked for it on every path. The credentials file (mode 0600) holds one line, `user:password`. They reach the WebUI
in memory: its launcher prints its arguments, and /internal/sysinfo shows arguments and environment to anyone.
Nothing is installed here: the launcher's own preparation is left out.
"""

import base64
import binascii
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import secrets
import socket
import stat
import sys
import traceback


def die(text):
    sys.exit(f"error: webui_start: {text}")


def main():
    credentials = read_credentials(os.environ.get("ATELIER_CREDENTIALS", ""))
    enter(os.environ.get("ATELIER_WEBUI", "") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "webui"))
    # Both would change what the settings say; an image made for A1111 may well have set them.
    for name in ("COMMANDLINE_ARGS", "IGNORE_CMD_ARGS_ERRORS"):
        os.environ.pop(name, None)
    refuse_own_login(sys.argv[1:])
    refuse_taken_port(sys.argv[1:])
    refuse_missing_gpu(sys.argv[1:])
    allow_late_middleware()
    allow_hidden_parents(sys.argv[1:])
    preview_with_what_is_there()
    gated = os.environ.get("ATELIER_GATE") == "1"
    guard(credentials[1], None if gated else ("/sdapi/", "/controlnet/"))
    start(credentials, gated)


def read_credentials(path):
    """The file's path, and its `user:password`."""
    if not path:
        die("ATELIER_CREDENTIALS is not set: it names the file that holds user:password")
    path = os.path.abspath(path)
    try:
        with open(path, encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        die(f"the credentials in {path} can't be read ({getattr(error, 'strerror', None) or 'not text'}); apply the config step again")
    if mode & 0o077:
        die(f"the credentials in {path} can be read by others (mode {mode:04o}); make it 0600")
    # A colon or a comma in the password ends the WebUI at its start.
    user, colon, password = text.partition(":")
    if not (user and colon and password) or set(":,\n") & set(password) or set(",\n") & set(user):
        die(f"the credentials in {path} are not one line user:password without further colons and commas")
    return path, text


def enter(folder):
    """Makes the WebUI's folder the working folder, and the place where Python looks first."""
    folder = os.path.abspath(folder)
    if not os.path.isfile(os.path.join(folder, "modules", "launch_utils.py")):
        die(f"no WebUI in {folder} (modules/launch_utils.py is missing); apply the sources step again")
    os.chdir(folder)
    # The first entry is this script's folder, whose files are no modules of the WebUI.
    sys.path[0] = folder
    sys.argv[0] = os.path.join(folder, "launch.py")


def value_of(flag, arguments):
    """Value of `--flag value` or `--flag=value`, or None."""
    for index, argument in enumerate(arguments):
        if argument == flag:
            return arguments[index + 1] if index + 1 < len(arguments) else ""
        if argument.startswith(flag + "="):
            return argument[len(flag) + 1 :]
    return None


def refuse_own_login(arguments):
    for flag in ("--api-auth", "--gradio-auth", "--gradio-auth-path"):
        if value_of(flag, arguments) is not None:
            die(f"{flag} is not for the command line, where everyone on this machine can read it; the login stands in the credentials file")


def refuse_taken_port(arguments):
    """Before the imports, which take ten seconds and more."""
    text = value_of("--port", arguments) or "7860"
    if not text.isdecimal():
        die(f"--port {text} is not a port")
    host = value_of("--server-name", arguments) or ("0.0.0.0" if "--listen" in arguments else "127.0.0.1")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(text)))
        except OSError as error:
            die(f"can't listen on {host} port {text}: {error.strerror}; find who does with `ss -ltnp`, or set another webui.port")


def refuse_missing_gpu(arguments):
    if "--skip-torch-cuda-test" in arguments or importlib.util.find_spec("torch") is None:
        return
    import torch

    if not torch.cuda.is_available():
        die(f"torch {torch.__version__} finds no GPU; look at `nvidia-smi`, or set host.gpu: none to draw on the CPU")


def allow_late_middleware():
    """The port is open before the WebUI adds its API. A request in between would make starlette refuse the API, and the WebUI end."""
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
    except ImportError:
        return
    strict = Starlette.add_middleware

    def add_middleware(self, middleware_class, **options):
        if self.middleware_stack is None:
            return strict(self, middleware_class, **options)
        self.user_middleware.insert(0, Middleware(middleware_class, **options))
        self.middleware_stack = self.build_middleware_stack()

    Starlette.add_middleware = add_middleware


def allow_hidden_parents(arguments):
    """gradio gives no file whose path has a hidden folder anywhere in it. A workspace below one, such as ~/.atelier, would have a page
    without scripts, and a gallery without pictures. Only what is hidden below the WebUI's own folders stays refused."""
    roots = {os.path.abspath(root) for root in (".", value_of("--data-dir", arguments) or ".")}
    roots = [pathlib.Path(root).parts for root in roots | {os.path.realpath(root) for root in roots}]
    if not any(part.startswith(".") for root in roots for part in root) or importlib.util.find_spec("gradio") is None:
        return
    from gradio import utils

    class Served(type(pathlib.Path())):
        @property
        def parts(self):
            """What gradio looks for hidden names in."""
            parts = super().parts
            return parts[max((len(root) for root in roots if parts[: len(root)] == root), default=0) :]

    whole = utils.abspath
    utils.abspath = lambda path: Served(whole(path))


def preview_with_what_is_there():
    """For each preview model that it lacks, SDXL's among them, the WebUI asks GitHub while it draws: where that can't be reached, every SDXL
    picture ends in an error. Its own coarse preview stands in, until the file lies in models/VAE-approx."""
    name = "modules.sd_vae_approx"

    class Finder:
        @staticmethod
        def find_spec(wanted, path=None, target=None):
            spec = importlib.machinery.PathFinder.find_spec(wanted, path, target) if wanted == name else None
            if spec is not None:
                execute = spec.loader.exec_module
                spec.loader.exec_module = lambda module: (execute(module), no_preview_downloads(module))
            return spec

    sys.meta_path.insert(0, Finder)


def no_preview_downloads(approx):
    class Absent(Exception):
        pass

    def download_model(path, url):
        raise Absent

    model = approx.model

    def model_or_coarse():
        try:
            return model()
        except Absent:
            # Called with half precision, which it can't multiply.
            return lambda sample: approx.cheap_approximation(sample.float())

    approx.download_model = download_model
    approx.model = model_or_coarse


def guard(login, paths):
    """Asks for the password before the WebUI does, on these paths; None: on all.

    The WebUI asks route by route, and extensions forget to: /sdapi/v1/loras and all of /controlnet answer anyone.
    """
    try:
        from fastapi import FastAPI
    except ImportError:
        return
    build = FastAPI.build_middleware_stack

    def asks(scope):
        if scope["type"] not in ("http", "websocket"):
            return False
        # OPTIONS is a browser's question whether it may ask; it carries no password.
        if scope.get("method") == "OPTIONS":
            return False
        # By this one call gradio starts its own queue, without a password.
        return scope["path"] != "/startup-events" if paths is None else scope["path"].startswith(paths)

    def build_middleware_stack(self):
        inner = build(self)

        async def guarded(scope, receive, send):
            given = dict(scope["headers"]).get(b"authorization", b"")
            # gradio's queue hands its work to its own server, with a token that only it knows.
            own = f"Bearer {getattr(self, 'queue_token', None) or secrets.token_hex()}".encode()
            why = refusal(given, login) if asks(scope) and not secrets.compare_digest(given, own) else None
            if why is None:
                return await inner(scope, receive, send)
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 1008})
            # As the WebUI's own routes answer.
            body = json.dumps({"error": "HTTPException", "detail": why, "body": "", "errors": ""}).encode()
            await send({"type": "http.response.start", "status": 401, "headers": [(b"content-type", b"application/json")]})
            await send({"type": "http.response.body", "body": body})

        return guarded

    FastAPI.build_middleware_stack = build_middleware_stack


def refusal(authorization, login):
    """Why this Authorization header does not open the API; None when it does."""
    scheme, _, given = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return "Not authenticated"
    try:
        given = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return "Invalid authentication credentials"
    return None if secrets.compare_digest(given, login.encode()) else "Incorrect username or password"


def start(credentials, gated):
    path, login = credentials
    try:
        from modules import launch_utils, shared_cmd_options

        shared_cmd_options.cmd_opts.api_auth = login
        shared_cmd_options.cmd_opts.gradio_auth_path = None if gated else path
        launch_utils.start()
    except KeyboardInterrupt:
        leave(130)
    except SystemExit as exit:
        if exit.code == 2:
            print("error: webui_start: the WebUI does not take these flags; see webui.flags in the settings", file=sys.stderr)
        leave(exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1)
    except BaseException as error:
        traceback.print_exc()
        print(f"error: webui_start: the WebUI ended: {type(error).__name__}: {error}", file=sys.stderr)
        leave(1)
    leave(0)


def leave(code):
    """Ends the process now: threads that load a model would keep a dead WebUI's port open for minutes, and nobody would start it again."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
