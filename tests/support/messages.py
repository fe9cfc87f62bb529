"""Messages and flows that tests are made of."""

from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.message import Headers, Request, Response
from offhook.sip.response import response_to
from offhook.sip.uri import parse_uri

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


def make_flow(name: str = "flow", transport: Transport = Transport.UDP, port: int = 5070) -> Flow:
    """A flow to a peer at 127.0.0.2."""
    secure = transport in (Transport.TLS, Transport.WSS)
    return Flow(FlowId(name), transport, ("127.0.0.2", port), ("127.0.0.1", 5060), "127.0.0.1:5060", secure, False)


def make_request(
    method: str,
    uri: str = "sip:bob@example.com",
    *,
    branch: str = "z9hG4bKpeer1",
    transport: str = "UDP",
    cseq: int = 1,
    call_id: str = "call-1",
    from_tag: str = "peer",
    to_tag: str = "",
    to: str = "<sip:bob@example.com>",
    from_: str = "<sip:alice@example.com>",
    body: bytes = b"",
    **extra: str,
) -> Request:
    """A request of a peer; `extra` names further fields with _ for -."""
    fields = [
        ("Via", f"SIP/2.0/{transport} 127.0.0.2:5070;branch={branch}"),
        ("Max-Forwards", "70"),
        ("From", f"{from_};tag={from_tag}"),
        ("To", f"{to};tag={to_tag}" if to_tag else to),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} {method}"),
    ]
    if method == "INVITE" and "Contact" not in extra:
        fields.append(("Contact", "<sip:alice@127.0.0.2:5070>"))
    if body:
        fields.append(("Content-Type", "application/sdp"))
    fields += [(name.replace("_", "-"), value) for name, value in extra.items()]
    return Request(method, parse_uri(uri), Headers(fields), body)


def make_response(request: Request, status: int, tag: str = "", body: bytes = b"", **extra: str) -> Response:
    """A peer's response to a request of ours."""
    fields = [(name.replace("_", "-"), value) for name, value in extra.items()]
    if body:
        fields.append(("Content-Type", "application/sdp"))
    return response_to(request, status, Headers(fields), body, tag)
