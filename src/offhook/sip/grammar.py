"""Tokens, names and limits: what RFC 3261 section 25 and the limits table let through.

Lives here: character classes, canonical header names, numbers with their reasons. Never here: parsing of a whole field.
"""

import re
from dataclasses import dataclass
from typing import Final

# Patterns repeat possessively throughout the message layer: nothing a peer writes can make one go back and try again.

TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]++")
"""RFC 3261 section 25.1, token."""

CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that never stand in a header field; HTAB is white space."""

COMPACT: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
"""Compact forms (RFC 3261 section 7.3.3 and later registrations)."""

LONG: Final = (
    "Accept", "Accept-Contact", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Allow-Events",
    "Authentication-Info", "Authorization", "Call-ID", "Call-Info", "Contact", "Content-Disposition", "Content-Encoding",
    "Content-Language", "Content-Length", "Content-Type", "CSeq", "Date", "Diversion", "Error-Info", "Event", "Expires",
    "Flow-Timer", "From", "History-Info", "Identity", "In-Reply-To", "Info-Package", "Join", "Max-Breadth", "Max-Forwards",
    "MIME-Version", "Min-Expires", "Min-SE", "Organization", "P-Asserted-Identity", "P-Preferred-Identity", "Path",
    "Priority", "Privacy", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Require", "RAck", "Reason", "Record-Route",
    "Recv-Info", "Refer-Sub", "Refer-To", "Referred-By", "Reject-Contact", "Replaces", "Reply-To", "Request-Disposition",
    "Require", "Retry-After", "Route", "RSeq", "Server", "Service-Route", "Session-Expires", "SIP-ETag", "SIP-If-Match",
    "Subject", "Subscription-State", "Supported", "Target-Dialog", "Timestamp", "To", "Unsupported", "User-Agent",
    "User-to-User", "Via", "Warning", "WWW-Authenticate",
)  # fmt: skip
"""Names we know, in the spelling of their RFCs."""

CANONICAL: Final = {name.lower(): name for name in LONG} | COMPACT
"""Lower-case spelling or compact letter -> canonical name."""

ECHOED: Final = frozenset({"Via", "From", "To", "Call-ID", "CSeq", "Record-Route"})
"""Fields that an answer or a dialog repeats byte for byte, octets that are not UTF-8 included."""

SINGLE: Final = frozenset(
    {"Call-ID", "CSeq", "From", "To", "Max-Forwards", "Content-Length", "Content-Type", "Expires", "Event", "Date"}
)
"""Fields that stand once; a second one is refused rather than guessed (RFC 4475 section 3.3.8)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The parser's part of the limits table. Octets and counts."""

    max_message: int = 65_536
    """Browser offers reach 12 KiB; same order as UDP's own limit."""
    max_body: int = 61_440
    """What is left of a message."""
    max_header_bytes: int = 32_768
    """Long RFC 4475 lines pass."""
    max_header_line: int = 8_192
    """HTTP servers choose the same."""
    max_headers: int = 200
    """RFC 4475 has messages with 50."""
    max_via: int = 70
    """Max-Forwards starts at 70; RFC 4475 has 34 Vias."""
    max_routes: int = 32
    """A deeper route set is an error."""
    max_call_id: int = 256
    """Tags, Call-IDs and branches are keys that live in memory."""


DEFAULT_LIMITS: Final = Limits()


@dataclass(slots=True)
class FieldLimits:
    """What a single value may have, whatever message it stands in. These parsers are called from everywhere, so that their
    limits stand once for the process (`FIELD_LIMITS`) and are set before its first message."""

    max_uri: int = 2_048
    """Refer-To with escaped Replaces fits."""
    max_field_params: int = 32
    """Push Contacts carry 10."""
    max_tag: int = 256
    """As `max_call_id`."""
    max_branch: int = 256
    """As `max_call_id`."""
    max_call_id: int = 256
    """Of a dialog named in Replaces or Target-Dialog; as the messages' own."""
    max_parts: int = 8
    """Parts of one body: messages with a description, a location and a picture have three."""


FIELD_LIMITS: Final = FieldLimits()
