"""SIP of a trace as a capture file that Wireshark and sngrep open: classic pcap, raw IP, each message in one UDP datagram.

Streams and WebSockets become datagrams too, between the same addresses and ports: what they carried is the message.
"""

import re
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

LINKTYPE_RAW = 101
LARGEST = 65_000
"""Octets of a message that fit into one datagram with its headers."""

Address = tuple[str, int]

_HIDDEN_KEY = re.compile(rb"(?im)(^a=crypto:[^\r\n]*?inline:)(\*+)")


def capture(messages: Iterable[tuple[float, Address, Address, bytes]]) -> bytes:
    """`messages` are (Unix time, source, destination, octets), in order."""
    file = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535 + 40, LINKTYPE_RAW)]
    for at, source, destination, data in messages:
        packet = datagram(source, destination, _readable(data)[:LARGEST])
        seconds, micros = divmod(round(at * 1_000_000), 1_000_000)
        file += [struct.pack("<IIII", seconds, micros, len(packet), len(packet)), packet]
    return b"".join(file)


def _readable(data: bytes) -> bytes:
    """Keys of SRTP that are hidden as base64 of zeros: for stars Wireshark gives the whole message up as malformed."""
    return _HIDDEN_KEY.sub(lambda found: found[1] + b"A" * len(found[2]), data)


def datagram(source: Address, destination: Address, data: bytes) -> bytes:
    """An IP packet with UDP. Both addresses become IPv6 when one of them is."""
    here, there = _ip(source[0]), _ip(destination[0])
    length = 8 + len(data)
    ports = struct.pack("!HHH", source[1], destination[1], length)
    if isinstance(here, IPv4Address) and isinstance(there, IPv4Address):
        pseudo = here.packed + there.packed + struct.pack("!BBH", 0, 17, length)
        udp = ports + struct.pack("!H", checksum(pseudo + ports + b"\0\0" + data) or 0xFFFF)
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0, 64, 17, 0, here.packed, there.packed)
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        return header + udp + data
    six, other = _six(here), _six(there)
    pseudo = six.packed + other.packed + struct.pack("!IHBB", length, 0, 0, 17)
    udp = ports + struct.pack("!H", checksum(pseudo + ports + b"\0\0" + data) or 0xFFFF)
    return struct.pack("!IHBB16s16s", 0x60000000, length, 17, 64, six.packed, other.packed) + udp + data


def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ip(host: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return IPv4Address(0)


def _six(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")
