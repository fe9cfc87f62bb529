"""Nonces that need no memory, and which of their counts were used (AUTH-3, AUTH-4).

Lives here: making a nonce, telling its age, counting its uses. Nothing is stored before a right answer came.
"""

import binascii
import hashlib
import hmac
import re

from offhook.sip.flow import Flow
from offhook.sip.ids import Ids

DAY = 86_400
WINDOW = 32
"""How far behind the highest nc a new one may come: requests of one client overtake one another."""

_VERSION = 1
_HEAD = 17
"""Version, 8 octets of issue time, 8 random ones; the seal follows."""
_LENGTH = 44
"""33 octets as base64url."""
_COUNT = re.compile(r"[0-9A-Fa-f]{1,8}")
_SEEN = (1 << WINDOW) - 1
_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")
"""The two characters in which base64url differs; Python's own functions for it take three times as long."""


class Nonces:
    """`secret` is shared by all nodes. Times are the core's monotonic seconds; `epoch` added to them is a time that no
    restart brings back, so that what was heard before a reboot is of no use after it."""

    def __init__(self, realm: str, secret: bytes, ids: Ids, epoch: float, remembered: int) -> None:
        self._realm = realm.encode()
        self._secret = secret
        self._ids = ids
        self._epoch = epoch
        self._remembered = remembered
        self._keys: dict[int, bytes] = {}
        # Seal of a nonce -> highest nc, and below it one bit for each nc of the window.
        self._counts: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def issue(self, flow: Flow, now: float) -> str:
        """A nonce that is good on this flow only: base64url(version, issue time, random, HMAC-SHA-256/128)."""
        issued = int(now + self._epoch)
        head = bytes([_VERSION]) + issued.to_bytes(8, "big") + self._ids.octets(8)
        text = binascii.b2a_base64(head + self._seal(head, flow, issued), newline=False)
        return text.translate(_TO_URL).decode()

    def age(self, nonce: str, flow: Flow, now: float) -> float | None:
        """Seconds since we made the nonce for this flow; None if we did not, or two days ago."""
        if len(nonce) != _LENGTH or not nonce.isascii():
            return None
        try:
            raw = _octets(nonce)
        except binascii.Error:
            return None
        if len(raw) != 33 or raw[0] != _VERSION:
            return None
        issued = int.from_bytes(raw[1:9], "big")
        age = now + self._epoch - issued
        if not 0 <= age <= 2 * DAY:
            return None
        return age if hmac.compare_digest(raw[_HEAD:], self._seal(raw[:_HEAD], flow, issued)) else None

    def count(self, nonce: str, nc: str, qop: str) -> bool:
        """Takes one use of a nonce that `age` knows; False if it was taken before. Without qop a nonce serves once."""
        number = 1
        if qop:
            if not _COUNT.fullmatch(nc):
                return False
            number = int(nc, 16)
        seal = _octets(nonce)[_HEAD:]
        known = self._counts.pop(seal, 0)
        taken = _taken(known, number)
        if known or taken:
            self._counts[seal] = taken or known
        if len(self._counts) > self._remembered:
            del self._counts[next(iter(self._counts))]
        return taken != 0

    def _seal(self, head: bytes, flow: Flow, issued: int) -> bytes:
        text = b"%b%b\0%b" % (head, self._realm, flow.id.encode())
        return hmac.digest(self._key(issued // DAY), text, "sha256")[:16]

    def _key(self, day: int) -> bytes:
        """AUTH-3: keys rotate daily; the nonce tells its day, so those of the last days are at hand without a store."""
        key = self._keys.get(day)
        if key is None:
            key = hmac.new(self._secret, b"nonce" + day.to_bytes(8, "big"), hashlib.sha256).digest()
            self._keys = {**{old: one for old, one in self._keys.items() if abs(old - day) <= 2}, day: key}
        return key


def _octets(nonce: str) -> bytes:
    """Raises binascii.Error."""
    return binascii.a2b_base64(nonce.encode().translate(_FROM_URL))


def _taken(known: int, number: int) -> int:
    """The state after `number` was used, 0 if it may not be. `known` is 0 for a nonce never used, which begins with 1."""
    if not known:
        return (1 << WINDOW) | 1 if number == 1 else 0
    highest, seen = known >> WINDOW, known & _SEEN
    if number < 1:
        return 0
    if number > highest:
        seen = (seen << (number - highest)) & _SEEN if number - highest < WINDOW else 0
        return (number << WINDOW) | seen | 1
    bit = 1 << (highest - number)
    if highest - number >= WINDOW or seen & bit:
        return 0
    return known | bit
