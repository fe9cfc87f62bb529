"""Who is at the other end now (RFC 4916, RFC 3325): told by answers, UPDATE or re-INVITE, shown, never passed on.

Changing From inside a dialog of ours is refused for good, because clients compare it as text (CALL-2).
"""

from offhook.calls.call import Call, Effects
from offhook.calls.leg import Leg
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr, readable_list
from offhook.sip.message import Message, Request

LONGEST = 128
"""Characters of a name that are kept: it is for people to read."""


def read(call: Call, leg: Leg, message: Message) -> Effects:
    """Notes a name that the peer gives for itself, if it is another than before."""
    name = _asserted(message) if leg.trunk is not None else ""
    name = name or (_from(message) if isinstance(message, Request) else "")
    if not name or name == leg.connected:
        return []
    leg.connected = name
    return [call.explain(f"the other end is {name} now", leg)]


def _asserted(message: Message) -> str:
    """P-Asserted-Identity, which a trunk may give: the first value that can be read (RFC 3325 section 9.1)."""
    values = [value for line in message.headers.all("P-Asserted-Identity") for value in readable_list(line)]
    return next((name for value in values if (name := _name(value))), "")


def _from(request: Request) -> str:
    return _name(request.headers.get("From") or "")


def _name(value: str) -> str:
    try:
        given = parse_name_addr(value)
    except PeerError:
        return ""
    name = (given.display or given.uri.unescaped_user)[:LONGEST]
    return name if name.isprintable() else ""
