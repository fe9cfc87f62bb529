"""`received` and `rport` in the top Via: RFC 3261 section 18.2.1, RFC 3581 section 4, WS-7."""

import re

from offhook.sip.envelope import Envelope
from offhook.sip.flow import Flow
from offhook.sip.message import Headers, Request

_RECEIVED = re.compile(r";\s*received\s*(?:=\s*[^;,\s]*)?", re.IGNORECASE)
_RPORT = re.compile(r";\s*rport\s*(?:=\s*\d*)?(?=\s*(?:[;,]|$))", re.IGNORECASE)


def stamped(request: Request, envelope: Envelope, flow: Flow) -> Request:
    """The request with its top Via naming where it really came from; all else in it stays byte for byte.

    `rport` is filled only where the peer asked for it, `received` only where it differs from sent-by or goes with rport.
    """
    host, port = flow.remote
    params = envelope.via.params
    asked = "rport" in params
    same = envelope.via.host.strip("[]").lower() == host.lower()
    if not asked and "received" not in params and same:
        return request
    text = envelope.via_text
    if '"' not in text and (asked or "received" in params):
        # What the peer claims about itself goes; in the odd Via with a quoted value it stays, since nobody reads it here.
        text = _RECEIVED.sub("", text)
        text = _RPORT.sub(f";rport={port}", text)
    if asked or not same:
        text = f"{text};received={host}"
    fields = list(request.headers)
    index = next(i for i, (name, _) in enumerate(fields) if name == "Via")
    line = fields[index][1].lstrip(", \t")
    fields[index] = ("Via", text + line[len(envelope.via_text) :])
    return Request(request.method, request.uri, Headers(fields), request.body)
