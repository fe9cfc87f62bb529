"""Which addresses of a trunk are alive (TRK-4): OPTIONS now and then, and what calls themselves found out; and which ask to
be left alone for a while (RFC 3261 section 21.5.4).

Lives here: the judgement. Never here: sending (trunks.py).
"""

from dataclasses import dataclass, field

from offhook.calls.trunk import HealthRules
from offhook.sip.hop import Hop

SPREAD = 0.1
"""OPTIONS come at the interval ± this part, so that trunks do not march in step."""
SET_ASIDE = "trunk_set_aside"


@dataclass(slots=True)
class Place:
    """One address. `up` is None before anything was heard; `code` says what is wrong."""

    uri: str
    up: bool | None = None
    failures: int = 0
    successes: int = 0
    rtt: float | None = None
    last_ok: float | None = None
    code: str = ""
    asked_at: float | None = None
    aside_until: float | None = None
    """It has refused a call with 503 and named the time until which it wants no other."""

    @property
    def said(self) -> str:
        """The code of what is wrong with it, "" if nothing is."""
        return self.code or (SET_ASIDE if self.aside_until is not None else "")


@dataclass(slots=True)
class Health:
    """Every address that a trunk's targets have resolved to."""

    rules: HealthRules
    places: dict[Hop, Place] = field(default_factory=dict)

    def known(self, hop: Hop, uri: str) -> Place:
        """The record of an address."""
        return self.places.setdefault(hop, Place(uri))

    def keep(self, hops: set[Hop]) -> None:
        """DNS has new addresses: forgets the others."""
        for hop in [one for one in self.places if one not in hops]:
            del self.places[hop]

    def asked(self, hop: Hop, now: float) -> None:
        """OPTIONS goes out."""
        self.places[hop].asked_at = now

    def answered(self, hop: Hop, status: int, now: float) -> bool:
        """A final response to OPTIONS: any but 503 is alive, even 401, 404 or 483. True if the state changed."""
        place = self.places.get(hop)
        if place is None:
            return False
        if place.asked_at is not None:
            place.rtt, place.asked_at = now - place.asked_at, None
        if status == 503:
            return self._down(place, "trunk_unreachable")
        place.last_ok, place.failures, place.code = now, 0, ""
        place.successes += 1
        before = place.up
        if place.up is not False or place.successes >= self.rules.up_after:
            place.up = True
        return place.up is not before

    def silent(self, hop: Hop, code: str) -> bool:
        """No answer in time, or no way there. True if the state changed."""
        place = self.places.get(hop)
        if place is None:
            return False
        place.asked_at = None
        place.failures += 1
        place.successes = 0
        place.code = code
        return self._down(place, code) if place.failures >= self.rules.down_after else False

    def _down(self, place: Place, code: str) -> bool:
        before, place.up = place.up, False
        place.code, place.successes = code, 0
        return before is not False

    def is_down(self, hop: Hop) -> bool:
        """True for an address that is to be tried last."""
        place = self.places.get(hop)
        return place is not None and place.up is False

    def set_aside(self, hop: Hop, uri: str, until: float) -> float:
        """Calls are to go elsewhere till then, or as long as was asked before; that time."""
        place = self.known(hop, uri)
        place.aside_until = max(until, place.aside_until or until)
        return place.aside_until

    def back(self, hop: Hop) -> None:
        """That time is over."""
        if hop in self.places:
            self.places[hop].aside_until = None

    def is_aside(self, hop: Hop) -> bool:
        """True for an address that is to be tried when nothing else is left."""
        place = self.places.get(hop)
        return place is not None and place.aside_until is not None

    @property
    def state(self) -> str:
        """up, degraded, down or unknown (API.md 12.1)."""
        known = [place.up for place in self.places.values()]
        aside = any(place.aside_until is not None for place in self.places.values())
        if not aside and all(one is None for one in known):
            return "unknown"
        if all(one is False for one in known):
            return "down"
        return "degraded" if aside or any(one is False for one in known) else "up"

    @property
    def code(self) -> str:
        """What is wrong with the first address that is down, else that one is set aside."""
        down = next((place.code for place in self.places.values() if place.up is False), "")
        return down or next((SET_ASIDE for place in self.places.values() if place.aside_until is not None), "")
