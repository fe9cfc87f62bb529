"""Invariant: any octets, however cut, give the same frames or the same fault, and no more than the limit is kept."""

from hypothesis import given
from hypothesis import strategies as st

from fuzz.support import cut, fuzzed, mutated
from offhook.transport.frames import Frame, FrameError, FrameReader
from tests.transport.test_frames import masked

SEEDS = [
    masked(1, b"Hello"),
    masked(2, b"x" * 300),
    masked(1, b"Hel", final=False) + masked(9, b"?") + masked(0, b"lo"),
    masked(8, b"\x03\xe8bye"),
    masked(10, b""),
]


def read(reader: FrameReader, pieces: list[bytes]) -> tuple[list[Frame], int]:
    frames: list[Frame] = []
    try:
        for piece in pieces:
            frames += reader.feed(piece)
    except FrameError as error:
        return frames, error.code
    return frames, 0


@fuzzed
@given(st.data())
def test_frames(data: st.DataObject) -> None:
    octets = data.draw(mutated([a + b for a in SEEDS for b in SEEDS]))
    pieces = data.draw(cut(octets))
    reader = FrameReader(1000)
    frames, code = read(reader, pieces)
    whole, other = read(FrameReader(1000), [octets])
    assert code == other
    # A fault takes with it what came whole in the same piece, so that fewer may have been given, never others.
    assert frames[: len(whole)] == whole or whole == []
    if not code:
        assert frames == whole
    assert all(len(one.payload) <= 1000 for one in frames)
    assert len(reader._buffer) + len(reader._parts) <= 2 * (1000 + 14)
