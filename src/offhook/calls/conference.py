"""Conferences: everybody who dials `conference-NAME` hears everybody else (RFC 4579: we are the focus).

Lives here: how a leg gets into the room of a name, and what it hears of others who come and go. Never here: mixing, which is
the engine's. A room begins with its first member and ends with its last; every member's call is a call of its own.
"""

from dataclasses import replace

from offhook.calls.call import Call, Effects
from offhook.calls.effects import CallEffect, ChimeRoom, JoinRoom, PlayFiles, Sip
from offhook.calls.events import PlayFinished, RoomSpeaker
from offhook.calls.index import Index, Room
from offhook.calls.leg import Leg
from offhook.calls.routing import room_of
from offhook.calls.words import LANGUAGES
from offhook.sip.commands import RespondInvite

ANNOUNCED, MUSIC = "conference-announcement", "conference-music"
"""What is played to who is alone: an announcement or a tone, then music. The engine keeps its place meanwhile."""
CAME, WENT, WAITING = "tones/joined", "tones/left", "music/hold"
"""Sounds of conferences, by file."""
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
    again = leg.room == name
    if not again:
        call.index.left_room(leg)
    room.legs[leg.ref] = leg.media.leg
    leg.room = name
    joined: Effects = [hears(call, leg.media.leg, room), call.happened("conference.joined", leg, name=name)]
    if len(room.legs) > 1:
        waited = _back(call.index, room, leg) if len(room.legs) == 2 else []
        return [*joined, *waited, *([] if again else _chime(call, room, CAME))]
    # Silence would be mistaken for a fault. The engine brings the leg back to the room afterwards.
    return [*joined, PlayFiles(leg.media.leg, ANNOUNCED, LANGUAGES[call.config.language].files("conference-first"))]


def hears(call: Call, media: int, room: Room, muted: bool = False) -> CallEffect:
    """A leg, by the engine's number, hears the room and is heard there."""
    return JoinRoom(media, room.number, muted, call.config.conference_full_band)


def _back(index: Index, room: Room, newcomer: Leg) -> Effects:
    """Nobody is alone any more: what was played to who waited is over. To who is in the room, it says nothing new."""
    found = [_member(index, media) for ref, media in room.legs.items() if ref != newcomer.ref]
    there = [one for one in found if one is not None]
    return [
        hears(call, leg.media.leg, room, leg.muted)
        for call, leg in there
        if leg.media is not None and not leg.held_by_api and not leg.playing
    ]


def _member(index: Index, media: int) -> tuple[Call, Leg] | None:
    call = index.legs.get(media)
    leg = (
        next((one for one in call.parties if one.media and one.media.leg == media), None) if call is not None else None
    )
    return (call, leg) if call is not None and leg is not None else None


def _chime(call: Call, room: Room, file: str) -> Effects:
    return [ChimeRoom(room.number, file)] if call.config.conference_tones else []


def thinned(index: Index) -> Effects:
    """Somebody has left these rooms: the others hear it, and music when only one is left."""
    names, index.thinned = index.thinned, set()
    effects: Effects = []
    for room in [index.rooms[name] for name in sorted(names) if name in index.rooms]:
        found = _member(index, next(iter(room.legs.values())))
        if found is None:
            continue
        call, leg = found
        if len(room.legs) > 1:
            effects += _chime(call, room, WENT)
        elif call.config.conference_tones:
            effects += _play(leg, ANNOUNCED, (WENT,), 1)
        else:
            effects += alone(call, leg)
    return effects


def alone(call: Call, leg: Leg) -> Effects:
    """Music for who is the only one in a conference, unless he hears something else."""
    room = call.index.rooms.get(leg.room) if leg.room is not None else None
    waits = room is not None and list(room.legs) == [leg.ref]
    return _play(leg, MUSIC, (WAITING,), 0) if waits else []


def _play(leg: Leg, name: str, files: tuple[str, ...], rounds: int) -> Effects:
    if leg.media is None or leg.held_by_api or leg.playing:
        return []
    return [PlayFiles(leg.media.leg, name, files, rounds)]


def played(call: Call, leg: Leg, event: PlayFinished) -> Effects:
    """An announcement, a tone or music of ours is over."""
    told: Effects = []
    if event.reason == "failed":
        told = [call.explain(f"a sound cannot be played: {event.text}", leg)]
    goes_on = event.play == ANNOUNCED and event.reason in ("finished", "failed")
    return [*told, *(alone(call, leg) if goes_on else [])]


def spoken(index: Index, event: RoomSpeaker) -> Effects:
    """Another member is the loudest: for whoever looks at the call. Nothing is kept of it."""
    member = _member(index, event.leg)
    room = index.rooms.get(member[1].room or "") if member is not None else None
    if room is not None and room.number == event.room:
        index.speakers[event.room] = event.leg
    else:
        index.speakers.pop(event.room, None)
    return []


def as_focus(effect: CallEffect) -> CallEffect:
    """Our 200 to a member."""
    if isinstance(effect, Sip) and isinstance(effect.command, RespondInvite):
        return Sip(replace(effect.command, contact_params=FOCUS))
    return effect
