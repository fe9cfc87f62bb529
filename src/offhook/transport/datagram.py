"""SIP over UDP: a flow is the pair of our socket and the peer's address, so nothing is kept for a stranger.

RFC 3261 section 18, RFC 3581: answers go back to the address the request came from, and from the address it was sent to:
where a socket listens on every address of the machine, a flow names which of them (wildcard.py).
"""

import asyncio
import socket
from typing import cast

from offhook.sip.flow import Flow, FlowId, Transport
from offhook.transport.flow import Advertiser, Receiver, host_port, is_loopback, local_address_towards
from offhook.transport.keepalive import binding_answer
from offhook.transport.sockets import DATAGRAM, bind_all
from offhook.transport.wildcard import WILDCARDS, Source, WildcardSocket, source_from, tells_addresses

ROUTES_KEPT = 10_000
"""Peers whose route is remembered: a look-up costs three system calls, an entry 200 bytes."""


FLOWS_KEPT = 4_096
"""Peers whose flow is remembered, with half a kilobyte each; another peer's is made anew, and is equal to the last one."""


class DatagramPath(asyncio.DatagramProtocol):
    """One UDP socket. `flow(address)` names the way to a peer; `send(flow, data)` takes it. `name` begins its flow ids."""

    def __init__(self, receiver: Receiver, advertiser: Advertiser | None = None, name: str = "udp") -> None:
        self._receiver = receiver
        self._advertiser = advertiser or Advertiser()
        self._name = name
        self._routes: dict[str, tuple[str, str]] = {}
        self._flows: dict[tuple[str, int, str], Flow] = {}
        self._heard_at: dict[tuple[tuple[str, int], bytes], Flow] = {}
        self._ways: dict[FlowId, tuple[Flow, Source]] = {}
        self._wildcard: WildcardSocket | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Binds and returns the address bound. Raises OSError."""
        return await self.serve(bind_all([(host, DATAGRAM)], port)[0])

    async def serve(self, bound: socket.socket) -> tuple[str, int]:
        """Takes a bound socket over."""
        self.bound = cast(tuple[str, int], bound.getsockname()[:2])
        if tells_addresses(bound):
            self._wildcard = WildcardSocket(bound, self._heard_by_wildcard)
        else:
            self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=bound)
        self._prefix = f"{self._name}-{self.bound[1]}-"
        return self.bound

    @property
    def family(self) -> int:
        """The IP version the socket speaks."""
        return 6 if ":" in self.bound[0] else 4

    @property
    def wildcard(self) -> bool:
        """True if it listens on every address and can tell them apart."""
        return self._wildcard is not None

    def flow(self, remote: tuple[str, int], local: str = "") -> Flow:
        """The flow to a peer; the same peer always gets an equal one. `local` is the address of ours by which it is
        reached, if that is not left to the route."""
        known = self._flows.get((*remote, local))
        if known is None:
            if len(self._flows) >= FLOWS_KEPT:
                self._forget()
            known = self._flows[*remote, local] = self._make_flow(remote, local)
            source = source_from(known.local[0]) if self._wildcard is not None else []
            self._ways[known.id] = known, source
        return known

    def _forget(self) -> None:
        self._flows.clear()
        self._heard_at.clear()
        self._ways.clear()

    def known(self, flow: FlowId) -> Flow | None:
        """The flow of an id, if it was met."""
        way = self._ways.get(flow)
        return way[0] if way is not None else None

    def _make_flow(self, remote: tuple[str, int], wanted: str) -> Flow:
        local, advertised = self._towards(remote[0])
        beside = ""
        if self._wildcard is not None and wanted not in ("", local):
            local, advertised = wanted, self._advertiser(wanted, self.bound[1], remote[0])
            beside = f"@{local}-"
        return Flow(
            id=FlowId(self._prefix + beside + host_port(*remote)),
            transport=Transport.UDP,
            remote=remote,
            local=(local, self.bound[1]),
            advertised=advertised,
            secure=False,
            loopback=is_loopback(remote[0]),
        )

    def _towards(self, remote: str) -> tuple[str, str]:
        """Our address on the route to a peer, and how we write it there."""
        known = self._routes.get(remote)
        if known is None:
            if len(self._routes) >= ROUTES_KEPT:
                self._routes.clear()
                self._forget()
            local = self.bound[0] if self.bound[0] not in WILDCARDS else local_address_towards(remote)
            known = self._routes[remote] = local, self._advertiser(local, self.bound[1], remote)
        return known

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._heard(data, self.flow((addr[0], addr[1])))

    def _heard_by_wildcard(self, data: bytes, remote: tuple[str, int], local: bytes) -> None:
        """`local` is the address of ours that was asked, in network order."""
        flow = self._heard_at.get((remote, local))
        if flow is None:
            flow = self.flow(remote, _unicast(local))
            self._heard_at[remote, local] = flow
        self._heard(data, flow)

    def _heard(self, data: bytes, flow: Flow) -> None:
        if data[:1] < b"\x04":
            self._keepalive(data, flow)
        # Phones keep their NAT open with blanks, a NUL or four octets; none of them is a message (RFC 5626 section 3.5).
        elif len(data) > 4 and data.strip(b"\r\n\x00 "):
            self._receiver.received(data, flow)

    def _keepalive(self, data: bytes, flow: Flow) -> None:
        """RFC 5626 section 5.4: STUN is answered to known flows only, so that nobody can aim us at a stranger."""
        answer = binding_answer(data, flow.remote)
        if answer is not None and self._receiver.knows(flow):
            self.send(flow.id, answer)

    def error_received(self, exc: Exception) -> None:
        """ICMP errors name no message; the transaction's own timer finds the silence."""

    def send(self, flow: FlowId, data: bytes) -> bool:
        """Sends to the peer the flow id spells; False if the socket is closed or the flow is not this socket's."""
        way = self._ways.get(flow) or self._spelled(flow)
        if way is None:
            return False
        if self._wildcard is not None:
            if self._wildcard.is_closing():
                return False
            self._wildcard.send(data, way[0].remote, way[1])
            return True
        if self._transport.is_closing():
            return False
        self._transport.sendto(data, way[0].remote)
        return True

    def _spelled(self, flow: FlowId) -> tuple[Flow, Source] | None:
        if not flow.startswith(self._prefix):
            return None
        spelled, local = flow.removeprefix(self._prefix), ""
        if spelled.startswith("@"):
            local, _, spelled = spelled[1:].partition("-")
        host, _, port = spelled.rpartition(":")
        return self._ways[self.flow((host.strip("[]"), int(port)), local).id]

    def close(self) -> None:
        """Closes the socket."""
        (self._wildcard or self._transport).close()


def _unicast(packed: bytes) -> str:
    """The address as text; empty for one that nothing can be sent from (the group of all nodes, RFC 4291 section 2.7.1)."""
    if not packed or (len(packed) == 16 and packed[0] == 0xFF):
        return ""
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)


class Datagrams:
    """Every UDP socket: one for each address that we listen on."""

    def __init__(self, receiver: Receiver, advertiser: Advertiser | None = None) -> None:
        self._receiver, self._advertiser = receiver, advertiser
        self.paths: list[DatagramPath] = []

    async def serve(self, bound: socket.socket) -> None:
        """Takes one more bound socket over."""
        name = f"udp{len(self.paths) + 1 if self.paths else ''}"
        path = DatagramPath(self._receiver, self._advertiser, name)
        await path.serve(bound)
        self.paths.append(path)

    def families(self) -> tuple[int, ...]:
        """The IP versions there is a socket for, in the order of RFC 6724."""
        return tuple(sorted({path.family for path in self.paths}, reverse=True))

    def flow_to(self, remote: tuple[str, int]) -> Flow | None:
        """The flow to a peer, through the socket on the way to it; None without one of its IP version."""
        family = 6 if ":" in remote[0] else 4
        fitting = [path for path in self.paths if path.family == family]
        if len(fitting) > 1:
            local = local_address_towards(remote[0])
            fitting.sort(key=lambda path: (path.bound[0] != local, path.bound[0] not in WILDCARDS))
        return fitting[0].flow(remote) if fitting else None

    def flow(self, remote: tuple[str, int], local: str = "") -> Flow:
        """As `flow_to`, by an address of ours that a peer has used before, if we still listen there; a peer of an IP version
        that we no longer listen on gets a flow on which nothing can be sent."""
        for path in self.paths:
            if local and (path.bound[0] == local or (path.wildcard and (":" in local) == (path.family == 6))):
                return path.flow(remote, local)
        return self.flow_to(remote) or self.paths[0].flow(remote)

    def known(self, flow: FlowId) -> Flow | None:
        """The flow of an id, if it was met."""
        return next(filter(None, (path.known(flow) for path in self.paths)), None)

    def send(self, flow: FlowId, data: bytes) -> bool:
        """False if no socket has the flow."""
        return any(path.send(flow, data) for path in self.paths)

    def close(self) -> None:
        """Closes every socket."""
        for path in self.paths:
            path.close()
