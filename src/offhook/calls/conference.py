"""Conferences: everybody who dials `conference-NAME` hears everybody else (RFC 4579: we are the focus).

Lives here: how a leg gets into the room of a name. Never here: mixing, which is the engine's. A room begins with its first
member and ends with its last; every member's call is a call of its own.
"""

from dataclasses import replace

from offhook.calls.call import Call, Effects
from offhook.calls.effects import CallEffect, JoinRoom, PlayFiles, Sip
from offhook.calls.index import Room
from offhook.calls.leg import Leg
from offhook.calls.routing import room_of
from offhook.calls.words import LANGUAGES
from offhook.sip.commands import RespondInvite

ANNOUNCED = "conference-announcement"
"""What the announcements of conferences are called."""
FOCUS = ";isfocus"
"""What our Contact says in a conference (RFC 4579 section 5.1)."""


def near(call: Call) -> int:
    """The media call beside which this call's is opened, 0 for none: a room costs least where its members are."""
    name = room_of(call.destination)
    room = call.index.rooms.get(name) if name is not None else None
    return room.number if room is not None else 0


def enter(call: Call, leg: Leg, name: str) -> Effects:
    """The leg joins; the first member's media call gives the room its number."""
    assert leg.media is not None
    room = call.index.rooms.setdefault(name, Room(call.media_calls[0]))
    call.index.left_room(leg)
    room.legs.add(leg.ref)
    leg.room = name
    joined: Effects = [JoinRoom(leg.media.leg, room.number), call.happened("conference.joined", leg, name=name)]
    if len(room.legs) > 1:
        return joined
    # Silence would be mistaken for a fault. The engine brings the leg back to the room afterwards.
    alone = LANGUAGES[call.config.language].files("conference-first")
    return [*joined, PlayFiles(leg.media.leg, ANNOUNCED, alone)]


def as_focus(effect: CallEffect) -> CallEffect:
    """Our 200 to a member."""
    if isinstance(effect, Sip) and isinstance(effect.command, RespondInvite):
        return Sip(replace(effect.command, contact_params=FOCUS))
    return effect
