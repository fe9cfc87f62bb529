"""SIP over UDP: a flow is the pair of our socket and the peer's address, so nothing is kept for a stranger.

RFC 3261 section 18, RFC 3581: answers go back to the address the request came from.
"""

import asyncio
from typing import cast

from offhook.sip.flow import Flow, FlowId, Transport
from offhook.transport.flow import Receiver, host_port, is_loopback, local_address_towards

ROUTES_KEPT = 10_000
"""Peers whose route is remembered: a look-up costs three system calls, an entry 200 bytes."""


class DatagramPath(asyncio.DatagramProtocol):
    """The UDP socket. `flow(address)` names the way to a peer; `send(flow, data)` takes it."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._routes: dict[str, str] = {}

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Binds and returns the address bound. Raises OSError."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        self._transport = transport
        self._bound = cast(tuple[str, int], transport.get_extra_info("sockname")[:2])
        return self._bound

    def families(self) -> tuple[int, ...]:
        """The IP versions the socket sends with."""
        return (6,) if ":" in self._bound[0] else (4,)

    def reaches(self, address: str) -> bool:
        """True for an address of the socket's IP version."""
        return (6 if ":" in address else 4) in self.families()

    def flow(self, remote: tuple[str, int]) -> Flow:
        """The flow to a peer; the same peer always gets an equal one."""
        local = (self._local(remote[0]), self._bound[1])
        return Flow(
            id=FlowId(f"udp-{local[1]}-{host_port(*remote)}"),
            transport=Transport.UDP,
            remote=remote,
            local=local,
            advertised=host_port(*local),
            secure=False,
            loopback=is_loopback(remote[0]),
        )

    def _local(self, remote: str) -> str:
        if self._bound[0] not in ("0.0.0.0", "::"):
            return self._bound[0]
        known = self._routes.get(remote)
        if known is None:
            if len(self._routes) >= ROUTES_KEPT:
                self._routes.clear()
            known = self._routes[remote] = local_address_towards(remote)
        return known

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        # Phones keep their NAT open with blanks, a NUL or four octets; none of them is a message (RFC 5626 section 3.5).
        if len(data) > 4 and data.strip(b"\r\n\x00 "):
            self._receiver.received(data, self.flow((addr[0], addr[1])))

    def error_received(self, exc: Exception) -> None:
        """ICMP errors name no message; the transaction's own timer finds the silence."""

    def send(self, flow: FlowId, data: bytes) -> bool:
        """Sends to the peer the flow id spells; False if the socket is closed or the flow is not this socket's."""
        prefix = f"udp-{self._bound[1]}-"
        if self._transport.is_closing() or not flow.startswith(prefix):
            return False
        host, _, port = flow.removeprefix(prefix).rpartition(":")
        self._transport.sendto(data, (host.strip("[]"), int(port)))
        return True

    def close(self) -> None:
        """Closes the socket."""
        self._transport.close()
