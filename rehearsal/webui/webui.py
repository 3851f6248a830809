"""The two ways to run: with the UI (the port opens before the API is there), or the API alone."""

import os
import signal
import threading
import time

started = time.monotonic()

from modules import http, lies, lora, paths, scripts  # noqa: E402
from modules.api import add_api  # noqa: E402
from modules.auth import api_users, ui_users  # noqa: E402
from modules.options import Options  # noqa: E402
from modules.sd_models import Models  # noqa: E402
from modules.shared_cmd_options import cmd_opts  # noqa: E402
from modules.state import State  # noqa: E402
from modules.ui import add_docs, add_ui  # noqa: E402

# Between the port's opening and the API's adding.
routes_seconds = float(os.environ.get("ATELIER_STANDIN_ROUTES_SECONDS", "0.3"))
# How long the port still answers when the start-up race was lost; the real one: until the model is loaded.
linger_seconds = float(os.environ.get("ATELIER_STANDIN_LINGER_SECONDS", "3"))


class Shared:
    def __init__(self):
        paths.check_repositories()
        self.opts = Options(cmd_opts.ui_settings_file)
        folders = [os.path.join(paths.models_path, "Stable-diffusion")]
        if cmd_opts.ckpt_dir:
            folders.append(os.path.abspath(cmd_opts.ckpt_dir))
        self.models = Models(self.opts, folders, cmd_opts.ckpt)
        self.state = State()
        self.queue = threading.Lock()

    def stop(self):
        os._exit(0)


def initialize():
    signal.signal(signal.SIGINT, lambda number, _: (print(f"Interrupted with signal {number}"), os._exit(0)))
    shared = Shared()
    lora.refresh()
    scripts.load(shared.opts)
    threading.Thread(target=load_model, args=(shared.models,), daemon=True).start()
    return shared


def load_model(models):
    try:
        models.load_selected()
    except Exception as error:  # noqa: BLE001
        print(f"loading stable diffusion model: {type(error).__name__}\n{error}")
        print("Stable diffusion model failed to load")


def address():
    return cmd_opts.server_name or ("0.0.0.0" if cmd_opts.listen else "127.0.0.1")


def open_port(app):
    if cmd_opts.port is not None:
        ports = [cmd_opts.port]
    else:
        ports = range(7860, 7960)
    for port in ports:
        try:
            return http.serve(app, address(), port)
        except OSError:
            continue
    raise OSError(
        f"Cannot find empty port in range: {ports[0]}-{ports[-1]}. You can specify a different port by setting the "
        "GRADIO_SERVER_PORT environment variable or passing the `server_port` parameter to `launch()`."
    )


def wait_forever():
    while True:
        time.sleep(3600)


def say_started():
    seconds = time.monotonic() - started
    print(f"Startup time: {seconds:.1f}s (prepare environment: 0.0s, launcher: {seconds:.1f}s).")


def webui():
    users, doorkeepers = api_users(cmd_opts.api_auth), ui_users(cmd_opts)
    shared = initialize()
    app = http.App()
    add_ui(app, shared, doorkeepers)
    server = open_port(app)
    print(f"Running on local URL:  http://{address()}:{server.server_port}\n")
    print("To create a public link, set `share=True` in `launch()`.")
    time.sleep(routes_seconds)
    if cmd_opts.api:
        if app.touched and lies.tells("startup-race"):
            lose_race()
        add_api(app, shared, users)
    say_started()
    wait_forever()


def lose_race():
    """As the real one: no API ever, and a port that answers until the thread that loads the model has ended."""
    threading.Thread(target=time.sleep, args=(linger_seconds,)).start()
    raise RuntimeError("Cannot add middleware after an application has started")


def api_only():
    users = api_users(cmd_opts.api_auth)
    shared = initialize()
    app = http.App()
    add_docs(app)
    add_api(app, shared, users)
    if cmd_opts.port is None:
        cmd_opts.port = 7861
    say_started()
    server = open_port(app)
    print(f"INFO:     Uvicorn running on http://{address()}:{server.server_port} (Press CTRL+C to quit)")
    wait_forever()
