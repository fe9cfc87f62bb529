"""What we want to say in a dialog whose peer has no flow at the moment: wishes instead of messages (LIVE-7).

Lives here: which wish takes the place of which, and how many there may be. Never here: sending (invite_usage.py); a wish
gets its branch and CSeq number only when it becomes a request again.
"""

from collections import OrderedDict
from dataclasses import dataclass

from offhook.sip.message import Headers
from offhook.sip.response import NO_FIELDS

MEDIA = "media"
"""What re-INVITE and UPDATE are about: one wish, the newest."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A request without the fields that its dialog writes."""

    method: str
    headers: Headers = NO_FIELDS
    body: bytes = b""

    @property
    def topic(self) -> str:
        """Of one topic only the latest wish counts; "" means that each counts, in order (INFO)."""
        match self.method:
            case "INVITE" | "UPDATE":
                return MEDIA
            case "NOTIFY":
                # RFC 6665 4.1.3: the Event field, id included, names the subscription within a dialog.
                return f"notify {self.headers.get('Event') or ''}"
            case _:
                return ""

    @property
    def refreshes_only(self) -> bool:
        """An UPDATE without a body says nothing that a re-INVITE would not say too."""
        return self.method == "UPDATE" and not self.body


class Wishes:
    """At most `limit` wishes of one usage (`LEG_QUEUE`), and at most one BYE, which drops all else."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._wishes: OrderedDict[str, Wish] = OrderedDict()
        self._numbers = 0
        self.bye: str | None = None

    def __len__(self) -> int:
        return len(self._wishes) + (self.bye is not None)

    def add(self, wish: Wish) -> bool:
        """Takes a new wish up; False when there is no room for it, or nothing more to be said."""
        if self.bye is not None:
            return False
        known = self._wishes.get(wish.topic) if wish.topic else None
        if known is None and len(self._wishes) >= self._limit:
            return False
        if known is None or not wish.refreshes_only:
            self._wishes[wish.topic or self._name()] = wish
        return True

    def put_back(self, wish: Wish) -> None:
        """A request that died with its flow is older than every wish: it goes first, and none of its topic yields to it."""
        if self.bye is not None or len(self._wishes) >= self._limit:
            return
        known = self._wishes.get(wish.topic) if wish.topic else None
        if known is not None and not known.refreshes_only:
            return
        name = wish.topic or self._name()
        self._wishes[name] = wish
        self._wishes.move_to_end(name, last=False)

    def hang_up(self, reason: str | None) -> None:
        """The dialog is to end, so nothing else matters; the first reason stands."""
        self._wishes.clear()
        self.bye = self.bye if self.bye is not None else reason or ""

    def take(self) -> tuple[Wish, ...]:
        """Everything but what is about media, in order; it is forgotten here."""
        taken = [(name, wish) for name, wish in self._wishes.items() if name != MEDIA]
        for name, _ in taken:
            del self._wishes[name]
        return tuple(wish for _, wish in taken)

    def take_media(self) -> Wish | None:
        """The one wish about media."""
        return self._wishes.pop(MEDIA, None)

    def take_bye(self) -> str | None:
        """The reason of the BYE that waits, "" without one, None if none waits."""
        bye, self.bye = self.bye, None
        return bye

    def clear(self) -> None:
        """Nothing is to be said any more."""
        self._wishes.clear()
        self.bye = None

    def _name(self) -> str:
        self._numbers += 1
        return f"#{self._numbers}"
