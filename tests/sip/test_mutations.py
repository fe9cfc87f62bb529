"""Invariant: whatever octet of a torture message is dropped, doubled or replaced, the parser gives a message or a PeerError,
and what it gives can be encoded and answered. 175,000 messages."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from offhook.sip.encode import encode
from offhook.sip.envelope import envelope
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_contacts
from offhook.sip.framing import StreamFramer
from offhook.sip.message import Message, Request
from offhook.sip.parse import parse_datagram, parse_stream_message, parse_websocket
from offhook.sip.response import response_to
from tests.support.torture import Torture, torture

REPLACEMENTS = (b"", b"\x00", b"\xff", b"\r", b"\n")


def mutations(data: bytes, step: int = 1, first: int = 0) -> Iterator[bytes]:
    """Every single-octet mutation of every `step`th octet."""
    for index in range(first, len(data), step):
        yield data[:index] + data[index : index + 1] + data[index:]
        for replacement in REPLACEMENTS:
            yield data[:index] + replacement + data[index + 1 :]


def survives(message: Message) -> None:
    """A parsed message can be placed, read and repeated."""
    envelope(message)
    if isinstance(message, Request):
        parse_contacts(message.headers.all("Contact"))
    encode(message)
    if isinstance(message, Request):
        encode(response_to(message, 200, to_tag="tag"))


@pytest.mark.parametrize("case", torture(), ids=lambda case: case.name)
def test_datagrams(case: Torture) -> None:
    for data in mutations(case.data):
        try:
            message = parse_datagram(data)
        except PeerError as error:
            if error.partial is not None:
                encode(response_to(error.partial, error.status))
        else:
            survives(message)


def framed(data: bytes) -> None:
    """As one message of a WebSocket, and as octets of a stream."""
    with suppress(PeerError):
        survives(parse_websocket(data))
    with suppress(PeerError):
        for one in StreamFramer().feed(data):
            if isinstance(one, bytes):
                survives(parse_stream_message(one))


@pytest.mark.parametrize("case", torture(), ids=lambda case: case.name)
def test_websockets_and_streams(case: Torture) -> None:
    # Every fifth octet, another fifth in each message.
    for data in mutations(case.data, 5, len(case.name) % 5):
        framed(data)


@pytest.mark.long
@pytest.mark.parametrize("case", torture(), ids=lambda case: case.name)
def test_websockets_and_streams_whole(case: Torture) -> None:
    for data in mutations(case.data):
        framed(data)
