"""Invariant: whatever octet of a torture message is dropped, doubled or replaced, the parser gives a message or a PeerError,
and what it gives can be encoded and answered. 175,000 messages."""

import os
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

WHOLE = bool(os.environ.get("LONG"))
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
    parse_contacts(message.headers.all("Contact"))
    encode(message)
    if isinstance(message, Request):
        encode(response_to(message, 200, to_tag="tag"))


@pytest.mark.parametrize("case", torture(), ids=lambda case: case.name)
def test_datagrams(case: Torture) -> None:
    # Every octet when there is time; else every third, another third in each message.
    step = 1 if WHOLE else 3
    for data in mutations(case.data, step, len(case.name) % step):
        try:
            message = parse_datagram(data)
        except PeerError as error:
            if error.partial is not None:
                encode(response_to(error.partial, error.status))
        else:
            survives(message)


@pytest.mark.parametrize("case", torture(), ids=lambda case: case.name)
def test_websockets_and_streams(case: Torture) -> None:
    step = 1 if WHOLE else 17
    for data in mutations(case.data, step, len(case.name) % step):
        with suppress(PeerError):
            survives(parse_websocket(data))
        with suppress(PeerError):
            for one in StreamFramer().feed(data):
                if isinstance(one, bytes):
                    survives(parse_stream_message(one))
