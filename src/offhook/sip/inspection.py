"""What of a request we can read: RFC 3261 sections 8.2.3 and 20.1, RFC 5621 for bodies of several parts.

Lives here: the refusals that a body, its encoding or the answer the peer could read call for. Never here: methods, schemes
and options (server_core.py).
"""

from dataclasses import dataclass, replace

from offhook.sip.config import SipConfig
from offhook.sip.dialog import contact_uri
from offhook.sip.errors import PeerError
from offhook.sip.fields import warning
from offhook.sip.message import Message, Request
from offhook.sip.multipart import media_type, optional, unpacked

DESCRIBING = frozenset({"INVITE", "UPDATE", "PRACK"})
"""Methods whose body is a session description."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Status and the field that says what would be right."""

    status: int
    field: tuple[str, str]


def described(request: Request, config: SipConfig) -> Request | Refusal:
    """The request with nothing but a description for a body; one that need not be understood is left out."""
    if request.method not in DESCRIBING or not request.body:
        return request
    encoding = (request.headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        return Refusal(415, ("Accept-Encoding", "identity"))
    accept = Refusal(415, ("Accept", ", ".join(config.accept)))
    try:
        single = unpacked(request, config.accept)
    except PeerError as error:
        return Refusal(400, ("Warning", warning(config.domain, error.slug, str(error))))
    if not isinstance(single, Request):
        return accept
    if not single.body or media_type(single.headers.get("Content-Type") or "") in config.accept:
        return single
    if optional(single.headers):
        return replace(single, headers=single.headers.without("Content-Type"), body=b"")
    return accept


def with_description(message: Message, config: SipConfig) -> Message:
    """A message that cannot be refused, an ACK or a response: of several parts the description, else what came."""
    try:
        return unpacked(message, config.accept) or message
    except PeerError:
        return message


def initial(invite: Request, config: SipConfig) -> Request | Refusal:
    """A first INVITE as `described`; its sender must be able to read our answer (20.1) and to be reached (8.1.1.8)."""
    wanted = [media_type(part) for line in invite.headers.all("Accept") for part in line.split(",")]
    if wanted and not any(_accepts(pattern, config.accept) for pattern in wanted):
        return Refusal(406, ("Accept", ", ".join(config.accept)))
    if invite.headers.get("Contact") is not None and contact_uri(invite) is None:
        return Refusal(400, ("Warning", warning(config.domain, "bad-contact", "the Contact cannot be read")))
    return described(invite, config)


def _accepts(pattern: str, types: tuple[str, ...]) -> bool:
    if pattern in ("*/*", ""):
        return True
    if pattern.endswith("/*"):
        return any(known.startswith(pattern[:-1]) for known in types)
    return pattern in types
