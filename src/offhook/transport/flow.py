"""Flows as sockets: the table of live paths and what a transport tells its receiver.

Lives here: the boundary between sockets and the driver. Never here: parsing of messages or decisions about them.
"""

import ipaddress
import socket
import time
from collections import Counter
from typing import Protocol

from offhook.sip.attempts import source_of
from offhook.sip.flow import Flow, FlowId

LEFT = "page left"
"""The reason of `Receiver.flow_lost` when the client itself said that it goes (close code 1001, WS-13)."""


class Receiver(Protocol):
    """Who gets what arrives; the driver. Called on the loop's thread, must not block."""

    def flow_opened(self, flow: Flow) -> None: ...

    def received(self, data: bytes, flow: Flow) -> None:
        """One whole message: a datagram, a WebSocket message, or one message cut from a stream."""
        ...

    def refused(self, reason: str, data: bytes, flow: Flow) -> None:
        """A stream whose framing is broken, just before its flow is closed; `data` is its beginning."""
        ...

    def flow_lost(self, flow: Flow, reason: str) -> None: ...

    def presented(self, token: str, flow: Flow) -> str | None:
        """A token came with the upgrade of a WebSocket (AUTH-10). None takes it, and the flow is trusted from its opening
        on; else the sentence to refuse the upgrade with."""
        ...

    def in_use(self, flow: Flow) -> bool:
        """True while a call goes over the flow: it is then not closed for being quiet."""
        ...

    def proven(self, flow: Flow) -> bool:
        """True once somebody has proved over the flow who he is, or was let in without (WS-14)."""
        ...

    def knows(self, flow: Flow) -> bool:
        """True for the flow of a registered device or of a call: only such a one is answered to STUN (RFC 5626)."""
        ...

    def flow_suspected(self, flow: Flow, suspected: bool) -> None:
        """A ping was left unanswered, or the peer was heard again after that (WS-9)."""
        ...


class Path(Protocol):
    """One live connection, or one peer of a datagram socket."""

    flow: Flow

    def send(self, data: bytes) -> bool:
        """Queues the message; False if the path is gone. Never waits."""
        ...

    def close(self, code: int, slug: str) -> None: ...

    def ping(self) -> None:
        """Provokes a sign of life."""
        ...

    def answered(self, since: float) -> bool:
        """True if the other end has shown, after that moment of the loop's clock, that it is there."""
        ...


class FlowTable:
    """Every live path by its flow id, with the caps per node and per source (SIGNALLING.md section 13, FLOWS)."""

    def __init__(self, per_node: int, per_source: int) -> None:
        self._paths: dict[FlowId, Path] = {}
        self._sources: Counter[str] = Counter()
        self._per_node = per_node
        self._per_source = per_source
        self._next = 0
        # Calls outlive a restart, and what they remember of flows must not name those of the next process.
        self._start = f"{time.time_ns() // 1_000_000 % 0x1_0000_0000:08x}"

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(tuple(self._paths.values()))

    def get(self, flow: FlowId) -> Path | None:
        """The path of a live flow, or None."""
        return self._paths.get(flow)

    def room_for(self, source: str) -> bool:
        """False when the node or that source address holds as many flows as it may."""
        return len(self._paths) < self._per_node and self._sources[source_of(source)] < self._per_source

    def new_id(self, transport: str) -> FlowId:
        """An id that is never used again, in this process or a later one."""
        self._next += 1
        return FlowId(f"{transport.lower()}-{self._start}-{self._next}")

    def add(self, path: Path) -> None:
        """Registers an open path."""
        self._paths[path.flow.id] = path
        self._sources[source_of(path.flow.remote[0])] += 1

    def remove(self, path: Path) -> bool:
        """Forgets a path; False if it was not (or no longer) there."""
        if self._paths.pop(path.flow.id, None) is None:
            return False
        source = source_of(path.flow.remote[0])
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]
        return True


class Advertiser:
    """What Via and Contact say for our end: the address that the peer reached or that leads to it; for a peer on the public
    network the outside of a 1:1 NAT, if there is one."""

    def __init__(self, public: tuple[str, ...] = ()) -> None:
        self._public = {":" in one: one for one in reversed(public)}

    def __call__(self, local: str, port: int, remote: str) -> str:
        public = self._public.get(":" in remote)
        if public is not None and not _is_global(local) and _is_global(remote):
            local = public
        return host_port(local, port)


def _is_global(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_global
    except ValueError:
        return False


def local_address_towards(remote: str) -> str:
    """Our concrete address on the route to `remote`, found without sending anything."""
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((remote, 9))
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def is_loopback(address: str) -> bool:
    """True for 127.0.0.0/8, ::1 and the IPv4-mapped form of the former."""
    return address.startswith(("127.", "::ffff:127.")) or address == "::1"


def host_port(host: str, port: int) -> str:
    """`host:port` as a header field writes it, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
