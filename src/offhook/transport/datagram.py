"""SIP over UDP: a flow is the pair of our socket and the peer's address, so nothing is kept for a stranger.

RFC 3261 section 18, RFC 3581: answers go back to the address the request came from.
"""

import asyncio
import socket
from typing import cast

from offhook.sip.flow import Flow, FlowId, Transport
from offhook.transport.flow import Advertiser, Receiver, host_port, is_loopback, local_address_towards
from offhook.transport.keepalive import binding_answer
from offhook.transport.sockets import DATAGRAM, bind_all

ROUTES_KEPT = 10_000
"""Peers whose route is remembered: a look-up costs three system calls, an entry 200 bytes."""


FLOWS_KEPT = 4_096
"""Peers whose flow is remembered, with half a kilobyte each; another peer's is made anew, and is equal to the last one."""

WILDCARDS = ("0.0.0.0", "::")


class DatagramPath(asyncio.DatagramProtocol):
    """One UDP socket. `flow(address)` names the way to a peer; `send(flow, data)` takes it. `name` begins its flow ids."""

    def __init__(self, receiver: Receiver, advertiser: Advertiser | None = None, name: str = "udp") -> None:
        self._receiver = receiver
        self._advertiser = advertiser or Advertiser()
        self._name = name
        self._routes: dict[str, tuple[str, str]] = {}
        self._flows: dict[tuple[str, int], Flow] = {}
        self._remotes: dict[FlowId, tuple[str, int]] = {}

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Binds and returns the address bound. Raises OSError."""
        return await self.serve(bind_all([(host, DATAGRAM)], port)[0])

    async def serve(self, bound: socket.socket) -> tuple[str, int]:
        """Takes a bound socket over."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=bound)
        self._transport = transport
        self.bound = cast(tuple[str, int], transport.get_extra_info("sockname")[:2])
        self._prefix = f"{self._name}-{self.bound[1]}-"
        return self.bound

    @property
    def family(self) -> int:
        """The IP version the socket speaks."""
        return 6 if ":" in self.bound[0] else 4

    def flow(self, remote: tuple[str, int]) -> Flow:
        """The flow to a peer; the same peer always gets an equal one."""
        known = self._flows.get(remote)
        if known is None:
            if len(self._flows) >= FLOWS_KEPT:
                self._flows.clear()
                self._remotes.clear()
            known = self._flows[remote] = self._make_flow(remote)
            self._remotes[known.id] = remote
        return known

    def known(self, flow: FlowId) -> Flow | None:
        """The flow of an id, if it was met."""
        remote = self._remotes.get(flow)
        return self._flows.get(remote) if remote is not None else None

    def _make_flow(self, remote: tuple[str, int]) -> Flow:
        local, advertised = self._towards(remote[0])
        return Flow(
            id=FlowId(self._prefix + host_port(*remote)),
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
                self._flows.clear()
                self._remotes.clear()
            local = self.bound[0] if self.bound[0] not in WILDCARDS else local_address_towards(remote)
            known = self._routes[remote] = local, self._advertiser(local, self.bound[1], remote)
        return known

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[:1] < b"\x04":
            self._keepalive(data, (addr[0], addr[1]))
            return
        # Phones keep their NAT open with blanks, a NUL or four octets; none of them is a message (RFC 5626 section 3.5).
        if len(data) > 4 and data.strip(b"\r\n\x00 "):
            self._receiver.received(data, self.flow((addr[0], addr[1])))

    def _keepalive(self, data: bytes, remote: tuple[str, int]) -> None:
        """RFC 5626 section 5.4: STUN is answered to known flows only, so that nobody can aim us at a stranger."""
        answer = binding_answer(data, remote)
        if answer is not None and self._receiver.knows(self.flow(remote)):
            self._transport.sendto(answer, remote)

    def error_received(self, exc: Exception) -> None:
        """ICMP errors name no message; the transaction's own timer finds the silence."""

    def send(self, flow: FlowId, data: bytes) -> bool:
        """Sends to the peer the flow id spells; False if the socket is closed or the flow is not this socket's."""
        remote = self._remotes.get(flow) or self._spelled(flow)
        if remote is None or self._transport.is_closing():
            return False
        self._transport.sendto(data, remote)
        return True

    def _spelled(self, flow: FlowId) -> tuple[str, int] | None:
        if not flow.startswith(self._prefix):
            return None
        host, _, port = flow.removeprefix(self._prefix).rpartition(":")
        return host.strip("[]"), int(port)

    def close(self) -> None:
        """Closes the socket."""
        self._transport.close()


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

    def flow(self, remote: tuple[str, int]) -> Flow:
        """As `flow_to`; a peer of an IP version that we no longer listen on gets a flow on which nothing can be sent."""
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
