"""Responses to a request: what is copied from it (RFC 3261 section 8.2.6) and the RFC's own reason phrases."""

import re
from collections.abc import Iterable

from offhook.sip.message import Headers, Request, Response

_TAG = re.compile(r""";\s*tag\s*=[^<>]*$""", re.IGNORECASE)

NO_FIELDS = Headers()
"""No additional header fields."""

PHRASES: dict[int, str] = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    417: "Unknown Resource-Priority",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    424: "Bad Location Information",
    428: "Use Identity Header",
    429: "Provide Referrer Identity",
    430: "Flow Failed",
    433: "Anonymity Disallowed",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    470: "Consent Needed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}


def phrase(status: int) -> str:
    """The registered reason phrase; for an unregistered status that of its class's x00 (section 8.1.3.2)."""
    return PHRASES.get(status) or PHRASES.get(status // 100 * 100, "Unknown")


def response_to(
    request: Request, status: int, headers: Iterable[tuple[str, str]] = NO_FIELDS, body: bytes = b"", to_tag: str = ""
) -> Response:
    """A response with the request's Vias, From, To, Call-ID and CSeq, then `headers`.

    `to_tag` is added to a To without tag, never to a 100 (section 8.2.6.2). A 100 copies Timestamp (section 8.2.6.1).
    """
    received = request.headers.first()
    fields = [("Via", value) for value in request.headers.all("Via")]
    to = received.get("To") or ""
    if to and to_tag and status > 100 and not _TAG.search(to):
        to = f"{to};tag={to_tag}"
    copied = [("From", received.get("From")), ("To", to), ("Call-ID", received.get("Call-ID"))]
    copied += [("CSeq", received.get("CSeq")), ("Timestamp", received.get("Timestamp") if status == 100 else None)]
    # Only a request that is refused as malformed can lack any.
    fields += [(name, value) for name, value in copied if value]
    fields.extend(headers)
    return Response(status, phrase(status), Headers(fields), body)
