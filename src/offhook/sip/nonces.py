"""Nonces that need no memory, and which of their counts were used (AUTH-3, AUTH-4).

Lives here: making a nonce, telling its age, counting its uses. Nothing is stored before a right answer came.
"""

import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class _Generation:
    """Uses of nonces that were last used in the same stretch of time."""

    counts: dict[bytes, int] = field(default_factory=dict)
    """Seal of a nonce -> highest nc, and below it one bit for each nc of the window."""
    newest: int = 0
    """The latest issue time among them."""


class Nonces:
    """`secret` is shared by all nodes. Times are the core's monotonic seconds; `epoch` added to them is a time that no
    restart brings back, so that what was heard before a reboot is of no use after it.

    Uses are remembered in two generations. Each new one drops the older: after `life` seconds, when whatever that one
    knows is too old to be taken, or when half of `remembered` is full. Only then might a nonce whose uses are forgotten
    still be young enough: from then on no nonce that was issued as early is taken as new, nor one of before the start."""

    def __init__(self, realm: str, secret: bytes, ids: Ids, epoch: float, remembered: int, life: float) -> None:
        self._realm = realm.encode()
        self._secret = secret
        self._ids = ids
        self._epoch = epoch
        self._half = max(1, remembered // 2)
        # A nonce tells whole seconds of its issue.
        self._lasts = life + 1
        self._keys: dict[int, bytes] = {}
        self._newer, self._older = _Generation(), _Generation()
        self._since: float | None = None
        # Issue time before which a nonce without a known use may have had one.
        self._unknown_before = 0

    def __len__(self) -> int:
        return len(self._newer.counts) + len(self._older.counts)

    def issue(self, flow: Flow, now: float) -> str:
        """A nonce that is good on this flow only: base64url(version, issue time, random, HMAC-SHA-256/128)."""
        self._pass(now)
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

    def count(self, nonce: str, nc: str, qop: str, now: float) -> bool:
        """Takes one use of a nonce that `age` knows and finds young enough; False if it was taken before, or may have been.
        Without qop a nonce serves once."""
        number = 1
        if qop:
            if not _COUNT.fullmatch(nc):
                return False
            number = int(nc, 16)
        self._pass(now)
        raw = _octets(nonce)
        seal, issued = raw[_HEAD:], int.from_bytes(raw[1:9], "big")
        known = self._newer.counts.get(seal) or self._older.counts.pop(seal, 0)
        if not known and issued < self._unknown_before:
            return False
        taken = _taken(known, number)
        if known or taken:
            self._keep(seal, issued, taken or known, now)
        return taken != 0

    def _keep(self, seal: bytes, issued: int, state: int, now: float) -> None:
        if seal not in self._newer.counts and len(self._newer.counts) >= self._half:
            if self._older.counts:
                self._unknown_before = max(self._unknown_before, self._older.newest + 1)
            self._begin(self._newer, now)
        self._newer.counts[seal] = state
        self._newer.newest = max(self._newer.newest, issued)

    def _pass(self, now: float) -> None:
        """Time has passed: drops what nobody can use any more."""
        if self._since is None:
            self._since, self._unknown_before = now, int(now + self._epoch)
        elif now - self._since >= 2 * self._lasts:
            self._begin(_Generation(), now)
        elif now - self._since >= self._lasts:
            self._begin(self._newer, now)

    def _begin(self, older: _Generation, now: float) -> None:
        self._newer, self._older, self._since = _Generation(), older, now

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
