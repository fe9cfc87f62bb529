"""A flow: the two-way path to one device (RFC 5626 section 3), as the core sees it.

Lives here: the description. Never here: sockets. A flow over UDP is the pair of our socket and the peer's address, so its
id can be rebuilt from them; over a stream or WebSocket it is one connection and its id is never used again.
"""

from dataclasses import replace
from enum import StrEnum
from typing import NewType

from offhook.record import record

FlowId = NewType("FlowId", str)


class Transport(StrEnum):
    """Transport tokens as a Via header field spells them (RFC 3261 section 20.42, RFC 7118 section 5.1)."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"
    WS = "WS"
    WSS = "WSS"

    @property
    def reliable(self) -> bool:
        """True where the transport retransmits by itself, so that timers A, E and G stay off (RFC 3261 section 17)."""
        return self is not Transport.UDP

    @property
    def websocket(self) -> bool:
        """True for the transports of RFC 7118, whose peers are reached by their flow and by nothing else (WS-6)."""
        return self in (Transport.WS, Transport.WSS)


class Reachability(StrEnum):
    """What is known of the device at the other end of a live flow, by the names of the API."""

    REACHABLE = "reachable"
    SUSPECT = "suspect"
    """A ping is unanswered (WS-9)."""
    ASLEEP = "asleep"
    """The socket answers, the page did not answer an INVITE (WS-10)."""


@record
class Flow:
    """Where a message came from and where an answer goes.

    `remote` is the peer's address as the socket saw it (or as a trusted proxy named it, WS-12); `local` is our concrete
    address on the route to that peer, never a wildcard; `advertised` is the host[:port] we put in Via and Contact.
    `identities` are the SIP domains that a verified client certificate speaks for (RFC 5922), empty without one.
    """

    id: FlowId
    transport: Transport
    remote: tuple[str, int]
    local: tuple[str, int]
    advertised: str
    secure: bool
    loopback: bool
    origin: str = ""
    """The page's origin where the upgrade of a WebSocket named one."""
    identities: tuple[str, ...] = ()

    def to_port(self, port: int) -> "Flow":
        """The UDP flow from the same socket of ours to another port of the same peer; itself if its id spells no address."""
        return self.to(self.remote[0], port)

    def to(self, address: str, port: int) -> "Flow":
        """The UDP flow from the same socket of ours to another address, itself if its id spells none."""
        old, new = _host_port(*self.remote), _host_port(address, port)
        if not self.id.endswith(f"-{old}"):
            return self
        return replace(self, id=FlowId(self.id.removesuffix(old) + new), remote=(address, port))

    def __repr__(self) -> str:
        return f"<flow {self.id} {self.transport} {self.remote[0]}:{self.remote[1]}>"


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
