#!/usr/bin/env python3
"""An aria2c that goes wrong as FAKE says. It writes FAKE_GOOD's bytes, leaves aria2c's own record beside them, and goes on when its parent has read what is there."""
import os
import struct
import sys
import time

PIECE = 1 << 20
FRONT = 8 * PIECE
good = open(os.environ["FAKE_GOOD"], "rb").read()
place = dict(line.strip().split("=", 1) for line in sys.stdin.read().split("\n")[1:] if "=" in line)
path = os.path.join(place["dir"], place["out"])
parent = os.getppid()
handle = os.open(path, os.O_WRONLY | os.O_CREAT)


def read_so_far():
    with open(f"/proc/{parent}/io") as stream:
        return int(stream.readline().split()[1])


def front_is_read():
    """Writes the front, says so in the record, and waits until it has been read."""
    before = read_so_far()
    os.pwrite(handle, good[:FRONT], 0)
    count = -(-len(good) // PIECE)
    bits = (0xFF << (-(-count // 8) - 1) * 8).to_bytes(-(-count // 8), "big")
    with open(path + ".aria2.new", "wb") as stream:
        stream.write(struct.pack(">H4sIIQQI", 1, b"\0" * 4, 0, PIECE, len(good), 0, len(bits)) + bits)
    os.replace(path + ".aria2.new", path + ".aria2")
    until("the front is read", lambda: read_so_far() - before >= FRONT)


def until(what, done):
    deadline = time.monotonic() + 240
    while not done():
        if time.monotonic() > deadline:
            sys.exit(f"never: {what}")
        time.sleep(0.02)


def spoil():
    os.pwrite(handle, bytes(PIECE), PIECE)


def finish(code):
    if code == 0:
        os.pwrite(handle, good[FRONT:], FRONT)
        os.remove(path + ".aria2")
    sys.exit(code)


again = os.path.exists(os.environ["FAKE_GOOD"] + ".again")
open(os.environ["FAKE_GOOD"] + ".again", "w").close()
fault = os.environ["FAKE"]
if fault == "rewrites":
    front_is_read()
    spoil()
    finish(0)
if fault == "begins anew" and not again:
    front_is_read()
    print("[#1 8MiB/11MiB(66%)]", flush=True)
    finish(1)
if fault == "begins anew":
    os.pwrite(handle, good[:PIECE] + bytes(PIECE) + good[2 * PIECE : FRONT], 0)
    finish(0)
if fault == "is another file":
    front_is_read()
    handle = os.open(path + ".other", os.O_WRONLY | os.O_CREAT)
    os.pwrite(handle, good[:PIECE], 0)
    os.pwrite(handle, good[2 * PIECE : FRONT], 2 * PIECE)
    os.replace(path + ".other", path)
    finish(0)
if fault == "outlives":
    front_is_read()
    open(os.environ["FAKE_GOOD"] + ".read", "w").close()
    until("its parent is gone", lambda: os.getppid() != parent)
    time.sleep(1.5)
    spoil()
    open(os.environ["FAKE_GOOD"] + ".spoiled", "w").close()
    finish(1)
if fault == "hangs":
    front_is_read()
    with open(os.environ["FAKE_GOOD"] + ".new", "w") as stream:
        stream.write(str(os.getpid()))
    os.replace(os.environ["FAKE_GOOD"] + ".new", os.environ["FAKE_GOOD"] + ".pid")
    until("it is ended", lambda: False)
sys.exit(f"FAKE={fault}?")
