"""A connection to a host with several addresses: one that does not answer holds up the next for a moment only (RFC 8305)."""
import errno
import itertools
import os
import selectors
import socket
import time

# What curl waits before it tries the other family.
HEAD_START_S = 0.2


def connect(address, timeout, source_address=None):
    """As socket.create_connection, which tries the second address when the first one has used up its whole time."""
    waiting = in_turn(socket.getaddrinfo(*address, 0, socket.SOCK_STREAM))
    failure = OSError(f"{address[0]} has no address")
    begin_at = give_up_at = time.monotonic()
    with selectors.DefaultSelector() as pending:
        try:
            while waiting or pending.get_map():
                now = time.monotonic()
                if waiting and (now >= begin_at or not pending.get_map()):
                    failure = _begin(waiting.pop(0), pending) or failure
                    begin_at, give_up_at = now + HEAD_START_S, now + timeout
                    continue
                if now >= give_up_at:
                    raise socket.timeout("timed out")
                for key, _ in pending.select(min([give_up_at] + [begin_at] * bool(waiting)) - now):
                    pending.unregister(key.fileobj)
                    code = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        key.fileobj.settimeout(timeout)
                        return key.fileobj
                    key.fileobj.close()
                    failure, begin_at = OSError(code, os.strerror(code)), now
            raise failure
        finally:
            for key in list(pending.get_map().values()):
                key.fileobj.close()


def in_turn(found):
    """The addresses in their order, but of each family in turn: where one leads nowhere, mostly all of it does."""
    families = {}
    for one in found:
        families.setdefault(one[0], []).append(one)
    return [one for turn in itertools.zip_longest(*families.values()) for one in turn if one]


def _begin(found, pending):
    """Begins to connect; the failure where that can't be."""
    family, kind, protocol, _, address = found
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        return error
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code not in (0, errno.EINPROGRESS):
        sock.close()
        return OSError(code, os.strerror(code))
    pending.register(sock, selectors.EVENT_WRITE)
    return None
