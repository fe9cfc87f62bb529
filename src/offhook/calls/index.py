"""Which call an event, a leg or an endpoint belongs to: look-ups whose cost does not grow with the number of calls.

Calls keep it true, the switchboard reads it. Never here: what a call does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offhook.calls.dialog_names import DialogNames
from offhook.calls.late import Away
from offhook.record import record
from offhook.sip.events import UsageId
from offhook.sip.replaces import Named

if TYPE_CHECKING:
    from offhook.calls.call import Call
    from offhook.calls.document import Link
    from offhook.calls.effects import CallEffect
    from offhook.calls.leg import Leg
    from offhook.calls.outbound import Outbound
    from offhook.calls.trunks import TrunkState


@dataclass(slots=True)
class Room:
    """A conference: the engine's number of its room, and the legs in it by ref, with the engine's numbers of them."""

    number: int
    legs: dict[str, int] = field(default_factory=dict)


@record
class Stream:
    """A stream that runs: the refs of its call and leg, the name by which commands know it, the engine's number of the leg,
    and what the user called it."""

    call_ref: str
    leg_ref: str
    control: str
    media: int
    name: str
    url: str
    two_way: bool


@record
class Taped:
    """A recording that runs: the refs of its call and leg, the name by which commands know it, the engine's number of the
    leg, its file, and which sound it holds."""

    call_ref: str
    leg_ref: str
    control: str
    media: int
    file: str
    side: str


@dataclass(slots=True)
class Index:
    """`calls` are the live ones by ref; `usages` holds live legs only; `media` and `legs` are by the engine's numbers of a
    call and of a leg; `ended` are the calls that ended in the event in hand, `touched` those it was about."""

    calls: dict[str, "Call"] = field(default_factory=dict)
    usages: dict[UsageId, "Call"] = field(default_factory=dict)
    media: dict[int, "Call"] = field(default_factory=dict)
    legs: dict[int, "Call"] = field(default_factory=dict)
    ended: list["Call"] = field(default_factory=list)
    touched: dict[str, "Call"] = field(default_factory=dict)
    dialogs: DialogNames = field(default_factory=DialogNames)
    rooms: dict[str, Room] = field(default_factory=dict)
    """Conferences that have a member, by name."""
    speakers: dict[int, int] = field(default_factory=dict)
    """Who is the loudest of a conference, by the engine's numbers of its room and of the leg."""
    thinned: set[str] = field(default_factory=set)
    """Those that somebody has left in the event in hand."""
    recordings: dict[str, Taped] = field(default_factory=dict)
    """Recordings that run, by name."""
    streams: dict[str, Stream] = field(default_factory=dict)
    """Streams that run, by the names of their feeds."""
    away: Away = field(default_factory=Away)
    awaited: dict[str, dict[str, "Call"]] = field(default_factory=dict)
    """Calls that wait for a device of an endpoint, by its user name (LIVE-4)."""
    run_document: "Callable[[Call, Leg, Link, float], list[CallEffect]] | None" = None
    """Fetches a document and runs it for a leg (program.py)."""
    reports: dict[str, "Call"] = field(default_factory=dict)
    """Calls of whose legs there may be something to tell outside."""
    outbound: "Outbound | None" = None
    """The way out of the space."""
    _endpoints: dict[str, dict[str, "Call"]] = field(default_factory=dict)

    def know(self, call: "Call", leg: "Leg") -> None:
        """The leg is of this call now, with its usage and what is known yet of its endpoint and its media."""
        before = self.usages.get(leg.usage)
        self.usages[leg.usage] = call
        self.touched[call.ref] = call
        if before is not None and before is not call:
            self._moved(before, leg)
        self.took(leg)
        if leg.account is not None:
            self._endpoints.setdefault(leg.account.username.casefold(), {})[call.ref] = call
        if leg.media is not None:
            self.legs[leg.media.leg] = call

    def _moved(self, before: "Call", leg: "Leg") -> None:
        """A transfer has taken the leg to another call: its endpoint is in this one no more, unless by another leg."""
        account = leg.account
        if account is not None and not any(one.account and one.account.id == account.id for one in before.legs):
            self._leave(before, account.username.casefold())

    def forget(self, call: "Call") -> None:
        """The call is over, or has never been one."""
        self.calls.pop(call.ref, None)
        for leg in call.legs:
            self.dialogs.ended(leg)
            self.gave(leg)
            if self.usages.get(leg.usage) is call:
                del self.usages[leg.usage]
            if leg.media is not None and self.legs.get(leg.media.leg) is call:
                del self.legs[leg.media.leg]
            if leg.account is not None:
                self._leave(call, leg.account.username.casefold())

    def took(self, leg: "Leg") -> None:
        """A leg at a carrier has a place of its trunk (TRK-11)."""
        state = self._trunk_of(leg)
        if state is not None:
            state.usage.took(leg.usage, not leg.placed)

    def left_room(self, leg: "Leg") -> None:
        """The leg is in no conference any more; the last one ends it."""
        room = self.rooms.get(leg.room) if leg.room is not None else None
        if room is not None and leg.room is not None:
            room.legs.pop(leg.ref, None)
            self.thinned.add(leg.room)
            if not room.legs:
                del self.rooms[leg.room]
                self.speakers.pop(room.number, None)
        leg.room = None

    def speaks(self, leg: "Leg") -> bool:
        """Whether the leg is the loudest of its conference."""
        room = self.rooms.get(leg.room) if leg.room is not None else None
        return room is not None and leg.media is not None and self.speakers.get(room.number) == leg.media.leg

    def gave(self, leg: "Leg") -> None:
        """It gives the place back."""
        self.left_room(leg)
        state = self._trunk_of(leg)
        if state is not None:
            state.usage.gave(leg.usage)

    def _trunk_of(self, leg: "Leg") -> "TrunkState | None":
        if self.outbound is None or leg.trunk is None:
            return None
        return self.outbound.trunks.get(leg.trunk.id)

    def _leave(self, call: "Call", endpoint: str) -> None:
        calls = self._endpoints.get(endpoint, {})
        calls.pop(call.ref, None)
        if not calls:
            self._endpoints.pop(endpoint, None)

    def of_endpoint(self, username: str) -> list["Call"]:
        """The calls in which an endpoint takes part."""
        calls = self._endpoints.get(username.casefold(), {})
        return [call for call in calls.values() if call.involves(username)]

    def named(self, named: Named) -> tuple["Call", "Leg"] | None:
        """The live leg whose dialog a field names, and its call."""
        leg = self.dialogs.find(named)
        call = self.usages.get(leg.usage) if leg is not None else None
        return (call, leg) if call is not None and leg is not None else None

    def of_call_id(self, call_id: str) -> "Call | None":
        """The live call of a dialog with this Call-ID."""
        leg = self.dialogs.of_call_id(call_id)
        return self.usages.get(leg.usage) if leg is not None else None

    def few_others(self, username: str, but: "Call", most: int) -> list["Call"]:
        """The other calls of an endpoint that has about so many at most; none of one that has more."""
        calls = self._endpoints.get(username.casefold(), {})
        return [call for call in calls.values() if call is not but] if len(calls) <= most else []

    def busy(self, username: str, but: "Call", limit: int) -> int:
        """In how many other calls an endpoint is. They are looked at one by one only where the limit may be reached: a leg
        that is done, as after a transfer, leaves its trace until the call ends."""
        about = len(self._endpoints.get(username.casefold(), ()))
        return about if about < limit else sum(1 for call in self.of_endpoint(username) if call is not but)
