"""What is kept of a dialog over a restart, octets that are no UTF-8 included (LIVE-15, CALL-2)."""

import msgspec
import pytest

from offhook.sip.commands import HangUp, RespondInvite
from offhook.sip.dialog_record import DialogRecord
from offhook.sip.effects import Send
from offhook.sip.encode import encode
from offhook.sip.events import InviteReceived
from offhook.sip.message import Headers, Request
from offhook.sip.parse import parse_datagram
from tests.support.link import Link
from tests.support.messages import SDP, make_flow, make_request
from tests.support.nodes import make_endpoint

LATIN = b'"M\xfcller" <sip:alice@example.com>;tag=p\xe9er'.decode("utf-8", "surrogateescape")
GREEK = '"Μαρία" <sip:alice@example.com>;tag=peer'


@pytest.mark.parametrize("name", [LATIN, GREEK, "<sip:alice@example.com>;tag=peer"])
def test_live_15_a_dialog_goes_on_with_the_octets_it_began_with(link: Link, name: str) -> None:
    node, flow = link.station("node", make_endpoint()), make_flow("far")
    sent = make_request("INVITE", body=SDP)
    headers = Headers([(one, name if one == "From" else value) for one, value in sent.headers])
    invite = parse_datagram(encode(Request("INVITE", sent.uri, headers, SDP)))
    assert isinstance(invite, Request)
    node.feed(invite, flow)
    (event,) = node.of(InviteReceived)
    assert isinstance(event, InviteReceived)
    node.perform(RespondInvite(event.usage, 200, body=SDP))
    record = node.node.dialog_record(event.usage)  # type: ignore[attr-defined]
    # 1. It can be written down, whatever the phone calls itself.
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=DialogRecord)
    # 2. The next process speaks in it with the very words.
    later = make_endpoint()
    later.revive(kept, flow, 0.0)
    (bye,) = [one.message for one in later.perform(HangUp(event.usage), 1.0) if isinstance(one, Send)]
    assert isinstance(bye, Request)
    assert bye.headers.get("To") == name
    assert kept.key.remote_tag == name.rpartition("tag=")[2]
