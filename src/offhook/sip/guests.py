"""Names of those who hold a token that is no member's (API.md 4.3): the name says which addresses they may call.

So no table is needed: `guest-`, eight letters that tell people apart, and the tier with the ids in base64url. It is good
only as the subject of a token that we signed, or as the user of a password made with our key (AUTH-11): nobody makes one up.
"""

import base64
import binascii
from dataclasses import dataclass

PREFIX = "guest-"
GUEST, INVITEE, WIDGET = "guest", "invitee", "widget"
TIERS = (GUEST, INVITEE, WIDGET)
"""Their place here is their octet in the name."""
ID = 16
"""Octets of an id."""
MOST = 16
"""Ids in a name that is read; `limits.guest_addresses` is below."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Whom such a name describes. Ids are lower-case UUIDs; `widget` is the key's, "" but for that tier."""

    tier: str
    addresses: tuple[str, ...]
    widget: str = ""


def write(guest: Guest, chance: str) -> str:
    """The name; `chance` are eight letters or digits."""
    ids = (guest.widget, *guest.addresses) if guest.tier == WIDGET else guest.addresses
    octets = bytes([TIERS.index(guest.tier)]) + b"".join(bytes.fromhex(one.replace("-", "")) for one in ids)
    return f"{PREFIX}{chance}-{base64.urlsafe_b64encode(octets).decode().rstrip('=')}"


def read(name: str) -> Guest | None:
    """None for any other name."""
    parts = name.split("-", 2)
    if len(parts) != 3 or f"{parts[0]}-" != PREFIX:
        return None
    try:
        octets = base64.b64decode(parts[2] + "=" * (-len(parts[2]) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    count, odd = divmod(len(octets) - 1, ID)
    if odd or not 1 <= count <= MOST or octets[0] >= len(TIERS):
        return None
    ids = tuple(_uuid(octets[at : at + ID]) for at in range(1, len(octets), ID))
    tier = TIERS[octets[0]]
    if tier != WIDGET:
        return Guest(tier, ids)
    return Guest(tier, ids[1:], ids[0]) if count == 2 else None


def _uuid(octets: bytes) -> str:
    digits = octets.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
