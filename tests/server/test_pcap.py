"""Packets of a capture file: lengths, checksums, both IP families."""

import struct

from offhook.server.pcap import LARGEST, capture, checksum, datagram

V4 = (("192.0.2.1", 5060), ("198.51.100.7", 51312))
V6 = (("2001:db8::1", 5060), ("2001:db8::2", 40000))


def test_ipv4() -> None:
    packet = datagram(*V4, b"hello")
    assert len(packet) == 20 + 8 + 5
    assert struct.unpack("!H", packet[2:4])[0] == len(packet)
    assert checksum(packet[:20]) == 0, "RFC 1071: the sum over a right header is 0"
    assert packet[12:20] == bytes([192, 0, 2, 1, 198, 51, 100, 7])
    assert struct.unpack("!HHH", packet[20:26]) == (5060, 51312, 13)
    pseudo = packet[12:20] + struct.pack("!BBH", 0, 17, 13)
    assert checksum(pseudo + packet[20:]) == 0


def test_ipv6_and_a_mixed_pair() -> None:
    packet = datagram(*V6, b"hello")
    assert (packet[0] >> 4, len(packet)) == (6, 40 + 8 + 5)
    pseudo = packet[8:40] + struct.pack("!IHBB", 13, 0, 0, 17)
    assert checksum(pseudo + packet[40:]) == 0
    mixed = datagram(V4[0], V6[1], b"")
    assert mixed[8:24] == bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1])


def test_a_name_that_is_no_address_and_a_message_that_is_too_long() -> None:
    file = capture([(1.5, ("nowhere", 1), V4[1], b"x" * 70_000)])
    seconds, micros, kept, length = struct.unpack("<IIII", file[24:40])
    assert (seconds, micros, kept, length) == (1, 500_000, LARGEST + 28, LARGEST + 28)
    assert file[40 + 12 : 40 + 16] == bytes(4)


def test_hidden_keys_stay_base64_of_the_same_length() -> None:
    """Wireshark reads keys while it reads the description, and stars are none."""
    line = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"*" * 40 + b"|2^31\r\na=ice-pwd:****\r\n"
    file = capture([(1.5, *V4, line)])
    assert file.endswith(line.replace(b"*" * 40, b"A" * 40))
