"""Invariant: any octets give a message or a PeerError; a message can be written again and reads the same."""

from contextlib import suppress

from hypothesis import given

from fuzz.support import MESSAGES, fuzzed, mutated
from offhook.sip.encode import encode
from offhook.sip.envelope import envelope
from offhook.sip.errors import PeerError
from offhook.sip.message import Request
from offhook.sip.parse import parse_datagram, parse_websocket, unframed
from offhook.sip.response import response_to


@fuzzed
@given(mutated(MESSAGES))
def test_message(data: bytes) -> None:
    for parse in (parse_datagram, parse_websocket):
        try:
            message = parse(data)
        except PeerError as error:
            if error.partial is not None:
                encode(response_to(error.partial, error.status))
            continue
        envelope(message)
        again = parse_datagram(encode(message))
        assert encode(again) == encode(message)
        assert parse_datagram(encode(message, compact=True)) == again
        if isinstance(message, Request):
            encode(response_to(message, 200, to_tag="tag"))
    with suppress(PeerError):
        fault = unframed(data, "because")
        if fault.partial is not None:
            encode(response_to(fault.partial, fault.status))
