"""RFC 6455 framing."""

import os

import pytest

from offhook.calls.catalogue import CATALOGUE
from offhook.transport.frames import SLUGS, Frame, FrameError, FrameReader, Opcode, accept_key, frame, unmask, valid_key


def masked(opcode: int, payload: bytes, final: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A client's frame."""
    first = (0x80 if final else 0) | opcode
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else bytes((first, 0xFE)) + size.to_bytes(2, "big")
    return head + mask + unmask(payload, mask)


def test_the_rfcs_own_handshake() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert valid_key("dGhlIHNhbXBsZSBub25jZQ==")
    assert not valid_key("c2hvcnQ=")
    assert not valid_key("§")


def test_the_rfcs_own_frame() -> None:
    reader = FrameReader(100)
    assert reader.feed(bytes.fromhex("818537fa213d7f9f4d5158")) == [Frame(Opcode.TEXT, b"Hello")]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1000, 65_000])
def test_any_cut_gives_the_same_message(size: int) -> None:
    payload = os.urandom(size)
    data = masked(2, payload)
    whole = FrameReader(70_000).feed(data)
    reader = FrameReader(70_000)
    pieces = [one for at in range(0, len(data), 7) for one in reader.feed(data[at : at + 7])]
    assert whole == pieces == [Frame(Opcode.BINARY, payload)]


def test_fragments_are_joined_and_control_frames_come_between() -> None:
    reader = FrameReader(100)
    data = masked(1, b"Hel", final=False) + masked(9, b"?") + masked(0, b"lo")
    assert reader.feed(data) == [Frame(Opcode.PING, b"?"), Frame(Opcode.TEXT, b"Hello")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bytes((0x81, 0x05)) + b"Hello", 1002),
        (masked(0x41, b"x"), 1002),
        (masked(3, b"x"), 1002),
        (masked(0, b"x"), 1002),
        (masked(9, b"x", final=False), 1002),
        (masked(9, b"x" * 126), 1002),
        (masked(1, b"a", final=False) + masked(1, b"b"), 1002),
        (masked(1, b"\xff\xfe"), 1007),
        (masked(1, b"x" * 101), 1009),
        (masked(1, b"x" * 60, final=False) + masked(0, b"x" * 60), 1009),
        (bytes((0x82, 0xFE)) + (5).to_bytes(2, "big") + b"\0\0\0\0hello", 1002),
        (bytes((0x82, 0xFF)) + (5).to_bytes(8, "big") + b"\0\0\0\0hello", 1002),
        (masked(8, b"x"), 1002),
        (masked(8, (1005).to_bytes(2, "big")), 1002),
        (masked(8, (999).to_bytes(2, "big")), 1002),
        (masked(8, (2999).to_bytes(2, "big")), 1002),
        (masked(8, (1000).to_bytes(2, "big") + b"\xff"), 1007),
        (masked(1, b"\xc3", final=False) + masked(0, b"\x28"), 1007),
    ],
)
def test_faults_earn_their_close_code(data: bytes, code: int) -> None:
    with pytest.raises(FrameError) as fault:
        FrameReader(100).feed(data)
    assert fault.value.code == code


def test_a_long_message_is_refused_before_it_is_buffered() -> None:
    reader = FrameReader(100)
    with pytest.raises(FrameError):
        reader.feed(bytes((0x82, 0xFF)) + (1 << 40).to_bytes(8, "big") + b"1234")


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_our_frames_have_the_shortest_length_form(size: int) -> None:
    data = frame(Opcode.TEXT, b"x" * size)
    assert data[1] == (size if size < 126 else 126 if size < 65_536 else 127)
    assert data.endswith(b"x" * size)


def test_text_may_be_cut_inside_a_character_and_a_ping_may_come_near_the_limit() -> None:
    reader = FrameReader(100)
    data = masked(1, b"x" * 90 + b"\xc3", final=False) + masked(9, b"?" * 50) + masked(0, b"\xa9")
    assert reader.feed(data)[1] == Frame(Opcode.TEXT, b"x" * 90 + "é".encode())


@pytest.mark.parametrize(
    "payload", [b"", (1000).to_bytes(2, "big"), (1001).to_bytes(2, "big") + b"bye", (4000).to_bytes(2, "big")]
)
def test_close_frames_that_may_be_sent(payload: bytes) -> None:
    assert FrameReader(100).feed(masked(8, payload)) == [Frame(Opcode.CLOSE, payload)]


def test_pieces_cost_no_more_than_the_whole() -> None:
    """WS-5: work is linear in what arrives, and endless empty fragments leave nothing behind."""
    data = masked(2, b"x" * 65_000)
    reader, looked = FrameReader(70_000), 0
    cut = FrameReader._cut

    def counting(self: FrameReader, octets: bytes, at: int) -> tuple[int, bytes, int] | None:
        nonlocal looked
        looked += len(octets) - at
        return cut(self, octets, at)

    FrameReader._cut = counting  # type: ignore[method-assign]
    try:
        frames = [one for at in range(len(data)) for one in reader.feed(data[at : at + 1])]
    finally:
        FrameReader._cut = cut  # type: ignore[method-assign]
    assert len(frames) == 1
    assert looked < 2 * len(data)
    reader.feed(masked(2, b"", final=False))
    for _ in range(10_000):
        assert reader.feed(masked(0, b"", final=False)) == []
    assert len(reader._parts) + len(reader._buffer) == 0


def test_every_fault_has_a_slug_of_the_catalogue() -> None:
    """WS-13."""
    slugs = {row.slug for row in CATALOGUE.values()}
    assert set(SLUGS.values()) <= slugs
    assert {"client-too-slow", "flow-idle", "node-draining"} <= slugs
