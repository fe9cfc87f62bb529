"""RFC 4475 and RFC 5118 at the door: each message gets one of the outcomes its row in expected.json allows.

`accept` is any answer but 400 and 5xx, a challenge included; for an INVITE it is the event to call control, which answers.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from offhook.sip.config import SipConfig
from offhook.sip.effects import Deliver, FindRegistration, Send, SipEffect
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.errors import PeerError
from offhook.sip.flow import Flow, Transport
from offhook.sip.message import Headers, Message, Request, Response
from offhook.sip.parse import parse_datagram, parse_websocket
from tests.support.messages import make_flow, make_request
from tests.support.nodes import DOMAIN, make_endpoint

VECTORS = Path(__file__).parent.parent / "vectors"


def rows() -> list[Any]:
    """(row, octets) of both collections; three IPv6 messages are used with their Content-Length put right."""
    found = []
    for folder in (VECTORS / "rfc4475", VECTORS / "rfc5118"):
        for row in json.loads((folder / "expected.json").read_text()):
            right = folder / "fixed-length" / f"{row['name']}.dat"
            path = right if right.exists() else folder / f"{row['name']}.dat"
            found.append(pytest.param(row, path.read_bytes(), id=row["name"]))
    return found


def perform(node: SipEndpoint, effects: list[SipEffect]) -> list[SipEffect]:
    """Answers look-ups with nothing found."""
    done: list[SipEffect] = []
    for effect in effects:
        if isinstance(effect, FindRegistration):
            done += perform(node, node.registration_found(effect.token, None, (), 0.0))
        else:
            done.append(effect)
    return done


def outcome(node: SipEndpoint, data: bytes, flow: Flow) -> tuple[str, list[SipEffect]]:
    try:
        message: Message = (parse_websocket if flow.transport.websocket else parse_datagram)(data)
    except PeerError as error:
        effects = node.receive_malformed(error, flow, 0.0)
    else:
        effects = perform(node, node.receive(message, flow, 0.0))
    finals = [
        effect.message.status
        for effect in effects
        if isinstance(effect, Send) and isinstance(effect.message, Response) and effect.message.status > 100
    ]
    assert len(finals) <= 1
    if finals:
        return str(finals[0]), effects
    return ("accept" if any(isinstance(effect, Deliver) for effect in effects) else "drop"), effects


def served_host(data: bytes) -> str:
    """The host that the Request-URI names, which the node under test serves, so that its own rules decide."""
    try:
        message = parse_datagram(data)
    except PeerError:
        return DOMAIN
    return message.uri.host if isinstance(message, Request) else DOMAIN


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.WS])
@pytest.mark.parametrize(("row", "data"), rows())
def test_outcome(row: dict[str, Any], data: bytes, transport: Transport) -> None:
    if row["name"] == "dblreq" and transport.websocket:
        row = {**row, "server_outcomes": ["400"], "behaviour": "WS-3: two messages in one WebSocket message"}
    node = make_endpoint(config=SipConfig(DOMAIN, frozenset({served_host(data)})))
    flow = make_flow(transport=transport)
    got, effects = outcome(node, data, flow)
    allowed = row["server_outcomes"]
    liberal = "accept" in allowed and got not in ("400", "drop") and not got.startswith("5")
    assert got in allowed or liberal, f"{got}, allowed are {allowed}: {row['behaviour']}"
    # An answer carries the request's own fields, byte for byte.
    for effect in effects:
        if isinstance(effect, Send) and got not in ("400", "505"):
            echoed(effect.message.headers, parse_datagram(data).headers)
    # And the node serves on.
    assert outcome(node, b"\r\n".join(OPTIONS), flow)[0] == "200"


def echoed(answer: Headers, request: Headers) -> None:
    for name in ("Call-ID", "From", "CSeq"):
        assert answer.get(name) == request.get(name)
    assert answer.all("Via")[1:] == request.all("Via")[1:]
    assert (answer.get("To") or "").startswith(request.get("To") or "")


OPTIONS = [
    b"OPTIONS sip:example.com SIP/2.0",
    *(f"{name}: {value}".encode() for name, value in make_request("OPTIONS", branch="z9hG4bKafter").headers),
    b"\r\n",
]
