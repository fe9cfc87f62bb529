"""A copy of every SIP message for Homer (HEP version 3, "HEP/EEP network encapsulation protocol"), secrets removed.

Datagrams to one collector; nothing waits for it, and a collector that is down costs nothing but the datagrams.
"""

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from offhook.server.redaction import without_secrets
from offhook.sip.flow import Flow, FlowId
from offhook.sip.message import Message

SIP = 1
"""Protocol type of chunk 9."""
LARGEST = 60_000
"""Octets of a message that fit into one datagram with its chunks."""
PROTOCOLS = {"UDP": 17}
"""IP protocol numbers of chunk 2; everything else of ours is TCP."""


def packet(data: bytes, source: tuple[str, int], destination: tuple[str, int], protocol: int, at: float,
           agent: int, key: str, correlation: str) -> bytes:  # fmt: skip
    """One message as a HEP3 packet; `at` is Unix time, `correlation` the Call-ID."""
    here, there = _ip(source[0]), _ip(destination[0])
    if here.version != there.version:
        here, there = _six(here), _six(there)
    four = here.version == 4
    seconds, micros = divmod(round(at * 1_000_000), 1_000_000)
    chunks = [
        _chunk(1, struct.pack("!B", 2 if four else 10)),
        _chunk(2, struct.pack("!B", protocol)),
        _chunk(3 if four else 5, here.packed),
        _chunk(4 if four else 6, there.packed),
        _chunk(7, struct.pack("!H", source[1])),
        _chunk(8, struct.pack("!H", destination[1])),
        _chunk(9, struct.pack("!I", seconds)),
        _chunk(10, struct.pack("!I", micros)),
        _chunk(11, struct.pack("!B", SIP)),
        _chunk(12, struct.pack("!I", agent)),
        *([_chunk(14, key.encode())] if key else []),
        _chunk(15, data[:LARGEST]),
        _chunk(17, correlation.encode()[:256]),
    ]
    body = b"".join(chunks)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


def _chunk(kind: int, value: bytes) -> bytes:
    return struct.pack("!HHH", 0, kind, 6 + len(value)) + value


def _ip(host: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return IPv4Address(0)


def _six(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)


class Homer(asyncio.DatagramProtocol):
    """`flow_of` finds the flow of an id; `epoch` turns the loop's clock into Unix time."""

    def __init__(self, agent: int, key: str, flow_of: Callable[[FlowId], Flow | None], epoch: float) -> None:
        self._agent, self._key = agent, key
        self._flow_of, self._epoch = flow_of, epoch
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self, host: str, port: int) -> None:
        """Raises OSError if the name does not resolve."""
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, remote_addr=(host.strip("[]"), port))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def error_received(self, exc: Exception) -> None:
        """The collector is down: it will be up again."""

    def close(self) -> None:
        """No more copies."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def received(self, message: Message, data: bytes, flow: Flow, now: float) -> None:
        """A message came in."""
        self._copy(message, data, flow, flow.remote, flow.local, now)

    def sent(self, message: Message, data: bytes, flow: Flow | FlowId, now: float) -> None:
        """A message goes out."""
        known = flow if isinstance(flow, Flow) else self._flow_of(flow)
        if known is not None:
            self._copy(message, data, known, known.local, known.remote, now)

    def _copy(self, message: Message, data: bytes, flow: Flow, source: Any, destination: Any, now: float) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        protocol = PROTOCOLS.get(flow.transport.value, 6)
        call_id, clean = message.headers.get("Call-ID") or "", without_secrets(data)
        with suppress(OSError):
            self._transport.sendto(
                packet(clean, source, destination, protocol, self._epoch + now, self._agent, self._key, call_id)
            )
