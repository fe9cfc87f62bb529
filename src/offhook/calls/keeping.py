"""What of a call goes into its record for the journal, and when a new record is worth writing (LIVE-15).

Never here: the shapes (kept.py), taking a call back (revive.py).
"""

from collections.abc import Mapping
from typing import TypeVar

from offhook.calls import kept_work
from offhook.calls.adoption import Devices
from offhook.calls.call import Call, CallState
from offhook.calls.index import Index, Stream, Taped
from offhook.calls.kept import KeptCall, KeptLeg
from offhook.calls.leg import Leg
from offhook.calls.passing import ANONYMOUS, withheld
from offhook.calls.trunk import kept_as

Tap = TypeVar("Tap", Taped, Stream)
Mark = tuple[object, ...]
"""What of a call is worth a new record: two equal marks need but one."""


def mark_of(call: Call) -> Mark | None:
    """None for what is not to be kept: a stranger's INVITE, and a call that has ended."""
    if call.state is CallState.ENDED or not (call.caller.account or call.caller.trunk or call.placed):
        return None
    if not confirmed(call):
        return ("early", *kept_work.mark_of(call))
    return (
        call.reopening,
        bool(call.forks),
        *call.media_calls,
        *kept_work.mark_of(call),
        *((leg.usage, leg.flow.id, leg.version, leg.state, leg.remote, leg.media) for leg in call.parties),
        *(name for leg in call.parties for name in (*leg.recordings.values(), *leg.streams.values())),
    )


def confirmed(call: Call) -> bool:
    """True when everybody who takes part has been answered."""
    return call.state is CallState.TALKING and all(leg.confirmed for leg in call.parties)


def kept(call: Call, devices: Devices, now: float) -> KeptCall:
    """The record of a call. While somebody rings it says only what the log must know."""
    talking = confirmed(call)
    return KeptCall(
        ref=call.ref,
        state="talking" if talking else "early",
        caller=call.caller.ref,
        from_name=call.from_name,
        to_name=call.to_name,
        destination=call.destination.name,
        created_at=call.created_at,
        answered_at=call.answered_at,
        callee=call.callee.username if call.callee is not None else "",
        parties=tuple(_leg(leg, devices, call.index) for leg in call.parties) if talking else (),
        media_calls=tuple(call.media_calls) if talking else (),
        waiting=bool(call.forks),
        parked_by=call.parked_by.username if call.parked_by is not None else "",
        pairs=call.pairs,
        placed=call.placed,
        project=call.project,
        domain=call.domain,
        programs=kept_work.programs_of(call) if talking else (),
        reports=kept_work.reports_of(call, now),
        history=call.leg_records([leg for leg in call.legs if not talking or leg not in call.parties]),
    )


def _leg(leg: Leg, devices: Devices, index: Index) -> KeptLeg:
    username = leg.account.username if leg.account is not None else ""
    return KeptLeg(
        ref=leg.ref,
        role=leg.role,
        usage=leg.usage,
        flow=leg.flow,
        origin_id=leg.origin_id,
        version=leg.version,
        state=leg.state.value,
        direction=leg.direction,
        username=username,
        trunk=kept_as(leg.trunk) if leg.trunk is not None else "",
        identity=ANONYMOUS if withheld(leg) else leg.identity,
        shown=leg.shown,
        user_agent=leg.user_agent,
        may_refer=leg.may_refer,
        security=leg.security,
        offer=leg.offer,
        media=leg.media,
        formats=leg.formats,
        chosen=leg.chosen,
        remote=leg.remote,
        body=leg.body,
        fed=leg.fed.name if leg.fed is not None else "",
        room=leg.room or "",
        room_number=index.rooms[leg.room].number if leg.room is not None and leg.room in index.rooms else 0,
        device=leg.device or devices.of(leg.flow.id, username),
        heard=leg.was_heard or not leg.silent,
        reoffer=leg.reoffer or leg.asked,
        hop=leg.hop,
        flow_moves=leg.flow_moves,
        dialled=leg.dialled,
        from_name=leg.from_name,
        to_name=leg.to_name,
        began_at=leg.began_at,
        leg_answered_at=leg.answered_at,
        video_formats=leg.video_formats,
        video_chosen=leg.video_chosen,
        video_direction=leg.video_direction,
        told_wish=leg.told_wish,
        recordings=_running(leg.recordings, index.recordings),
        streams=_running(leg.streams, index.streams),
    )


def _running(names: Mapping[str, str], known: Mapping[str, Tap]) -> tuple[tuple[str, Tap], ...]:
    """What runs of a leg, with all that has to be known of it."""
    return tuple((name, known[name]) for name in names.values() if name in known)
