"""Messages out of a byte stream."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip.errors import FramingLost, PeerError, TooLarge
from offhook.sip.framing import KeepAlive, StreamFramer
from offhook.sip.grammar import Limits
from tests.support.torture import Torture, torture

FIRST = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 4\r\nX: y\r\n\r\nbody"
SECOND = b"SIP/2.0 200 OK\r\nl : 0\r\n\r\n"
FOLDED = b"OPTIONS sip:a SIP/2.0\r\nX: y\r\n l: 9\r\nCONTENT-LENGTH:\r\n 2\r\n\r\nhi"


def test_several_at_once() -> None:
    assert list(StreamFramer().feed(FIRST + SECOND + FOLDED)) == [FIRST, SECOND, FOLDED]


@given(st.lists(st.sampled_from([FIRST, SECOND, FOLDED, b"\r\n\r\n"]), max_size=6), st.data())
def test_any_cut_gives_the_same(pieces: list[bytes], data: st.DataObject) -> None:
    stream, framer, found = b"".join(pieces), StreamFramer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += framer.feed(stream[:size])
        stream = stream[size:]
    assert found == [KeepAlive() if piece == b"\r\n\r\n" else piece for piece in pieces]
    assert framer.pending == b""


def test_keepalives() -> None:
    framer = StreamFramer()
    assert list(framer.feed(b"\r\n")) == []
    assert list(framer.feed(b"\r\n")) == [KeepAlive()]
    assert list(framer.feed(b"\r\n\r\n\r\n\r\n" + FIRST + b"\r\n\r\n")) == [
        KeepAlive(),
        KeepAlive(),
        FIRST,
        KeepAlive(),
    ]
    # Single line ends are noise.
    assert list(framer.feed(b"\r\n" + FIRST + b"\n\r" + SECOND)) == [FIRST, SECOND]


def test_pending() -> None:
    framer = StreamFramer()
    assert list(framer.feed(FIRST[:-1])) == []
    assert framer.pending == FIRST[:-1]


@pytest.mark.parametrize(
    "bad",
    [
        b"OPTIONS sip:a SIP/2.0\r\nX: y\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: -1\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: 1x\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: 4294967296\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl:\r\nX: 1\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: 1\r\nContent-Length: 1\r\n\r\n",
    ],
)
def test_lost(bad: bytes) -> None:
    framer = StreamFramer()
    coming = framer.feed(FIRST + bad + SECOND)
    # What came whole before it is given.
    assert next(coming) == FIRST
    with pytest.raises(FramingLost):
        next(coming)
    assert framer.pending.startswith(bad)


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (b"x" * 101, "max_header_bytes"),
        (b"X: " + b"y" * 98 + b"\r\nl: 0\r\n\r\n", "max_header_bytes"),
        (b"OPTIONS sip:a SIP/2.0\r\nl: 500\r\n\r\n", "max_message"),
    ],
)
def test_limits(data: bytes, limit: str) -> None:
    limits = Limits(max_header_bytes=100, max_message=500)
    with pytest.raises(TooLarge, match=rf"limits.{limit} \("):
        list(StreamFramer(limits).feed(data))


@given(st.binary(max_size=300))
def test_any_octets(data: bytes) -> None:
    framer = StreamFramer()
    try:
        found = list(framer.feed(data))
    except PeerError:
        return
    assert sum(4 if isinstance(one, KeepAlive) else len(one) for one in found) + len(framer.pending) <= len(data)


def framed(pieces: Iterator[bytes]) -> list[bytes | KeepAlive | type[PeerError]]:
    """What comes out of a stream that arrives in these pieces; a fault ends it."""
    framer = StreamFramer()
    found: list[bytes | KeepAlive | type[PeerError]] = []
    for piece in pieces:
        coming = framer.feed(piece)
        while True:
            try:
                found.append(next(coming))
            except StopIteration:
                break
            except PeerError as error:
                return [*found, type(error)]
    return found


@pytest.mark.parametrize("case", torture(), ids=lambda case: case.name)
def test_octet_by_octet_is_as_good_as_whole(case: Torture) -> None:
    stream = SECOND + case.data + FIRST
    assert framed(stream[at : at + 1] for at in range(len(stream))) == framed(iter([stream]))
