#!/usr/bin/env python3
"""The gate: a reverse proxy before the WebUI, which listens on loopback behind it.

    tools/gate/bin/python bin/gate.py run/gate.json

One password for everything, drawing calls one at a time, errors that say what is wrong. What it is told stands in one JSON
file (gate_config.py); the login in data/credentials, which nothing of it repeats. Runs in the foreground until SIGTERM.
"""
import asyncio
import logging
import logging.handlers
import signal
import sys

from aiohttp import web

from gate_auth import Doorkeeper
from gate_checkpoints import Checkpoints
from gate_config import BadConfig, read_config, read_login
from gate_draw import Drawing
from gate_line import Line
from gate_options import Options
from gate_pass import Passage
from gate_route import Gate
from gate_start import StartLog
from gate_upstream import Upstream

log = logging.getLogger("gate")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: gate.py <config.json>")
    try:
        config = read_config(sys.argv[1])
        login = read_login(config.credentials)
    except BadConfig as why:
        sys.exit(f"error: gate: {why}")
    write_log_to(config.log)
    try:
        asyncio.run(serve(config, login))
    except OSError as error:
        sys.exit(f"error: gate: can't listen on {config.listen} port {config.port}: {error.strerror}; find who does with `ss -ltnp`, or set another webui.port")


def write_log_to(path):
    """Its own log, rotated by itself, so that it is the same under every service manager."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=10_000_000, backupCount=3, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.INFO)


async def serve(config, login):
    upstream = Upstream(config.inner_port, login)
    starts = StartLog(config.webui_log)
    doorkeeper = Doorkeeper(login)
    passage = Passage(upstream, starts, doorkeeper)
    checkpoints = Checkpoints(upstream)
    line = Line(config.queue)
    drawing = Drawing(config, upstream, passage, checkpoints, line, starts)
    options = Options(upstream, passage, checkpoints, drawing)
    gate = Gate(config, doorkeeper, starts, passage, drawing, options)
    # A caller that hangs up ends its handler: so it leaves the line.
    server = web.Server(gate.handle, handler_cancellation=True, access_log=None, keepalive_timeout=75, max_line_size=65536, max_field_size=65536)
    runner = web.ServerRunner(server, shutdown_timeout=3)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.listen, config.port, reuse_address=True).start()
        log.info("listening on %s port %s, before 127.0.0.1 port %s", config.listen, config.port, config.inner_port)
        await until_told_to_end()
    finally:
        await drawing.close()
        await upstream.close()
        await runner.cleanup()
        log.info("ended")


async def until_told_to_end():
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    await end.wait()


if __name__ == "__main__":
    main()
