"""A UDP socket on every address of the machine that says for each datagram to which of them it came, and sends from the one
that is named: phones drop an answer from another address than the one they asked (RFC 3581 section 4).

asyncio's datagram transports give no ancillary data, so the socket is read and written here (RFC 3542 section 6; ip(7)).
"""

import asyncio
import errno
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable

WILDCARDS = ("0.0.0.0", "::")

BATCH = 32
"""Datagrams read in one turn of the loop, so that a flood leaves room for everything else; uvloop's own number."""

WAITING = 1_024
"""Datagrams kept while the kernel takes none: a megabyte. One more drops the oldest, as any queue on the way would."""

SPACE = socket.CMSG_SPACE(20)
"""Octets of in6_pktinfo; in_pktinfo has twelve."""

LARGEST = 65_535

IP_PKTINFO = 8
"""Of Linux; Python's socket has the name from 3.14 on."""

MOVED = (errno.EINVAL, errno.EADDRNOTAVAIL, errno.ENETUNREACH)
"""What the kernel says of a source address that is ours no longer."""

Remote = tuple[str, int]
Source = list[tuple[int, int, bytes]]
"""Ancillary data that names the address to send from; empty leaves the choice to the kernel."""


def tells_addresses(bound: socket.socket) -> bool:
    """True for a socket that `WildcardSocket` is for; a system other than Linux does without."""
    return bound.getsockname()[0] in WILDCARDS and sys.platform == "linux"


def source_from(address: str) -> Source:
    """How the kernel is told to send from an address of ours."""
    if ":" in address:
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack("@16si", _packed(address), 0))]
    return [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("@i4s4s", 0, _packed(address), bytes(4)))]


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address.partition("%")[0])


class WildcardSocket:
    """`heard(data, remote, local)` gets each datagram with the address of ours that it was sent to, in network order."""

    def __init__(self, bound: socket.socket, heard: Callable[[bytes, Remote, bytes], None]) -> None:
        self._socket, self._heard = bound, heard
        self._buffer = bytearray(LARGEST)
        self._waiting: deque[tuple[bytes, Remote, Source]] = deque(maxlen=WAITING)
        self._loop = asyncio.get_running_loop()
        # in6_pktinfo begins with the address; in_pktinfo has an index first, then the address that an answer comes from.
        self._from, self._to = (0, 16) if bound.family == socket.AF_INET6 else (4, 8)
        if bound.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            bound.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        bound.setblocking(False)
        self._loop.add_reader(bound, self._read)

    def _read(self) -> None:
        for _ in range(BATCH):
            try:
                size, ancillary, _flags, remote = self._socket.recvmsg_into((self._buffer,), SPACE)
            except OSError:
                # Nothing more for now; and ICMP errors name no message: the transaction's own timer finds the silence.
                return
            local = ancillary[0][2][self._from : self._to] if ancillary else b""
            self._heard(bytes(memoryview(self._buffer)[:size]), (remote[0], remote[1]), local)
            if self.is_closing():
                return

    def send(self, data: bytes, remote: Remote, source: Source) -> None:
        """Sends from there; never waits."""
        if self._waiting or not self._sent(data, remote, source):
            if not self._waiting:
                self._loop.add_writer(self._socket, self._drain)
            self._waiting.append((data, remote, source))

    def _drain(self) -> None:
        while self._waiting:
            if not self._sent(*self._waiting[0]):
                return
            self._waiting.popleft()
        self._loop.remove_writer(self._socket)

    def _sent(self, data: bytes, remote: Remote, source: Source) -> bool:
        """False if the kernel has no room just now."""
        try:
            self._socket.sendmsg((data,), source, 0, remote)
        except BlockingIOError:
            return False
        except OSError as error:
            # The peer finds us, or nobody, from the address that leads to it now.
            if source and error.errno in MOVED:
                return self._sent(data, remote, [])
        return True

    def is_closing(self) -> bool:
        """True once closed."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """Closes the socket; what waits is lost."""
        if not self.is_closing():
            self._loop.remove_reader(self._socket)
            if self._waiting:
                self._loop.remove_writer(self._socket)
            self._waiting.clear()
            self._socket.close()
