"""Session timers (RFC 4028) of one INVITE usage, in both roles: what is negotiated, and when the session is due.

Lives here: terms and fields. Never here: timers and requests, which are the usage's (invite_usage.py).

The rules of the house (CALL-11, LIVE-11): we offer 1800 s and keep whatever interval a peer asks; we refresh whenever the
peer leaves it open; every 2xx, UPDATE and re-INVITE of ours repeats the terms, because a client that does not hear them
takes the duty back; a peer without timers is refreshed by us all the same, or a dead one would never be noticed.
"""

from dataclasses import dataclass

from offhook.record import record
from offhook.sip.errors import MalformedMessage, PeerError
from offhook.sip.fields import parse_number, parse_params
from offhook.sip.message import Message, Request, Response
from offhook.sip.reliable import option_listed

OPTION = "timer"
LONGEST = 86_400
"""Seconds; a longer interval is read as this one."""
SHORT = 300
"""Seconds below which a peer without UPDATE is refreshed at a third instead of the half: a lost re-INVITE must fit in."""

Fields = list[tuple[str, str]]


@record
class Terms:
    """What both sides agreed on. `ours`: we refresh. `spoken`: the peer takes part; if not, we keep the time alone."""

    interval: int
    ours: bool
    spoken: bool

    @property
    def expiry(self) -> float:
        """Section 10: seconds after which a session that was not refreshed is ended."""
        return self.interval - min(32.0, self.interval / 3)

    def refresh(self, update: bool) -> float:
        """Section 10: seconds after which we refresh; `update` if the peer takes UPDATE."""
        return self.interval / 3 if not update and self.interval < SHORT else self.interval / 2


@dataclass(slots=True)
class SessionTimer:
    """`expires` and `min_se` are ours, in seconds; `insist` takes the refresher's role in a first INVITE (WS legs)."""

    expires: int
    min_se: int
    insist: bool
    terms: Terms | None = None
    floor: int = 0
    mode: str = "allowed"
    """A trunk's setting: `off` neither offers nor keeps a timer, `required` demands that the peer has one."""

    # as UAS

    def too_small(self, request: Request) -> bool:
        """Section 9: the interval asked is below our minimum, and the peer can be told so by 422."""
        asked = session_expires(request)
        return asked is not None and asked[0] < self.min_se and supports(request)

    def answer(self, request: Request) -> Fields:
        """The fields of our 2xx to an INVITE or UPDATE; the terms are settled by it (section 9, table 2)."""
        if self.mode == "off":
            return []
        asked, speaks = session_expires(request), supports(request)
        interval = max(self._usual(), number(request.headers.get("Min-SE"))) if asked is None else asked[0]
        if not speaks:
            # Only the peer's own word binds it: a proxy may have asked, and then we refresh.
            self.terms = Terms(max(interval, self.min_se), True, False)
            return []
        ours = asked is None or asked[1] != "uac"
        self.terms = Terms(interval, ours, True)
        fields = [("Session-Expires", f"{interval};refresher={'uas' if ours else 'uac'}")]
        return fields if ours else [*fields, ("Require", OPTION)]

    def _usual(self) -> int:
        return self.terms.interval if self.terms is not None and self.terms.spoken else self.expires

    # as UAC

    def ask(self, interval: int = 0, take: bool = False) -> Fields:
        """The fields of our INVITE or UPDATE: the terms as they stand, or `interval` with us as refresher (`take`)."""
        terms = self.terms
        if self.mode == "off":
            return []
        seconds = max(interval or (terms.interval if terms is not None else self.expires), self.floor)
        if terms is None and not take:
            refresher = ";refresher=uac" if self.insist else ""
        else:
            refresher = ";refresher=uac" if take or terms is None or terms.ours else ";refresher=uas"
        fields = [("Session-Expires", f"{seconds}{refresher}"), ("Min-SE", str(max(self.min_se, self.floor)))]
        return [*fields, ("Require", OPTION)] if self.mode == "required" and terms is None else fields

    def accepted(self, response: Response) -> None:
        """The peer's 2xx to our INVITE or UPDATE settles the terms (section 7.2)."""
        if self.mode == "off":
            return
        said = session_expires(response)
        if said is None:
            # The peer knows no timers: we refresh by our own clock.
            interval = self.terms.interval if self.terms is not None else max(self.expires, self.floor)
            self.terms = Terms(interval, True, False)
        else:
            self.terms = Terms(max(said[0], 1), said[1] != "uas", True)

    def refused(self, response: Response) -> bool:
        """422: takes the peer's minimum; True if that is a reason to ask again (section 7.3)."""
        minimum = min(number(response.headers.get("Min-SE")), LONGEST)
        if response.status != 422 or minimum <= self.floor:
            return False
        self.floor = minimum
        return True


def supports(message: Message) -> bool:
    """True if the sender lists `timer`."""
    return option_listed(message.headers, "Supported", OPTION) or option_listed(message.headers, "Require", OPTION)


def session_expires(message: Message) -> tuple[int, str] | None:
    """Session-Expires as (seconds, refresher or ""); None if it is absent or cannot be read."""
    value, _, rest = (message.headers.get("Session-Expires") or "").partition(";")
    seconds = number(value)
    if not seconds:
        return None
    try:
        refresher = parse_params(f";{rest}" if rest else "").get("refresher") or ""
    except PeerError:
        refresher = ""
    return min(seconds, LONGEST), refresher.lower()


def number(value: str | None) -> int:
    """Seconds of a field, parameters ignored; 0 if there are none to read."""
    if not value:
        return 0
    try:
        return parse_number(value.partition(";")[0], "seconds", 2**32 - 1)
    except MalformedMessage:
        return 0
