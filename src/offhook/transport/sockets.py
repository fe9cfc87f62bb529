"""Sockets that listen: which addresses a setting means, and one port for all of them.

Lives here: binding. Never here: what is said on a socket.
"""

import contextlib
import errno
import socket
from collections.abc import Sequence

TCP_USER_TIMEOUT = 30_000
"""Milliseconds that sent data may stay unacknowledged before the kernel gives the connection up (WS-9). Connections inherit
it from the socket that accepts them."""

RECEIVE_BUFFER = 4 << 20
"""Octets of waiting datagrams we ask the kernel for: a second of registrations while the loop is busy."""

TRIES = 20
"""Ports looked at before we give up finding one that is free everywhere."""

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


def addresses_of(host: str) -> tuple[str, ...]:
    """The addresses that `http.host` means: a list with commas; `::` is every address of both IP versions; a name is all
    its addresses here that can be bound. Raises OSError for a name without any."""
    found: list[str] = []
    for part in (one.strip().strip("[]") for one in host.split(",")):
        if part == "::":
            found += [one for one in ("::", "0.0.0.0") if _bindable(one)]
        elif _is_address(part):
            found.append(part)
        else:
            facts = socket.getaddrinfo(part, None, type=STREAM)
            found += [one for one in (str(fact[4][0]) for fact in facts) if _bindable(one)]
    if not found:
        raise OSError(errno.EADDRNOTAVAIL, f"{host} names no address of this machine")
    return tuple(dict.fromkeys(found))


def bind_all(wanted: Sequence[tuple[str, int]], port: int) -> list[socket.socket]:
    """One socket for each (address, `STREAM` or `DATAGRAM`), all at one port; 0 finds one free for all. Raises OSError."""
    last: OSError | None = None
    for _ in range(1 if port else TRIES):
        bound: list[socket.socket] = []
        number = port
        try:
            for address, kind in wanted:
                bound.append(_bound(address, kind, number))
                number = bound[-1].getsockname()[1]
            return bound
        except OSError as error:
            last = error
            for one in bound:
                one.close()
            if error.errno != errno.EADDRINUSE:
                break
    assert last is not None
    raise last


def _bound(address: str, kind: int, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            time_out(made)
        else:
            with contextlib.suppress(OSError):  # the kernel gives what it may
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        made.bind((address, port))
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def time_out(made: socket.socket) -> None:
    """The kernel gives a connection up whose data stays unacknowledged (WS-9)."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT)


def _bindable(address: str) -> bool:
    try:
        _bound(address, DATAGRAM, 0).close()
    except OSError:
        return False
    return True


def _is_address(text: str) -> bool:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        socket.inet_pton(family, text.partition("%")[0])
    except OSError:
        return False
    return True
