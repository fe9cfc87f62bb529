"""Taking a call back from its record after a restart (LIVE-15).

Lives here: from plain data to a call that goes on. Never here: files, the engine's list (server/comeback.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from offhook.calls import bridge, ending, hunt, kept_work, reopen, survival
from offhook.calls.adoption import Devices
from offhook.calls.call import Call, CallConfig, CallState, Effects
from offhook.calls.effects import Sip, StartTimer
from offhook.calls.index import Index, Room
from offhook.calls.kept import KeptCall, KeptLeg
from offhook.calls.leg import Leg, LegState
from offhook.calls.ports import LegFacts
from offhook.calls.routing import BUILT_INS, SPEAKING, Destination
from offhook.calls.trunk import Trunk, foreign_kept
from offhook.sip.commands import FromCarrier
from offhook.sip.domains import parted
from offhook.sip.fields import sip_reason
from offhook.sip.ids import Ids
from offhook.sip.location import Account

SILENT_MS = 5_000
"""A leg whose last packet is older counts as silent, as it does for the engine."""


@dataclass(frozen=True, slots=True)
class Known:
    """What has to be looked up for a record: accounts by user name, trunks by id, and the engine's facts of the legs that it
    still has, by its numbers."""

    accounts: Mapping[str, Account]
    trunks: Mapping[str, Trunk]
    facts: Mapping[int, LegFacts]


def revive(
    kept: KeptCall, known: Known, config: CallConfig, ids: Ids, index: Index, devices: Devices, now: float
) -> Effects:
    """The call, its clocks, and what is wanted of the engine. Its dialogs have been revived by the SIP layer."""
    parties = [_leg(one, known) for one in kept.parties]
    caller = next((leg for leg in parties if leg.ref == kept.caller), parties[0])
    call = Call(
        kept.ref,
        caller,
        _destination(kept.destination),
        kept.created_at,
        config,
        ids,
        index,
        state=CallState.TALKING,
        callee=known.accounts.get(kept.callee),
        parties=parties,
        answered_at=kept.answered_at,
        parked_by=known.accounts.get(kept.parked_by),
        pairs=kept.pairs,
        placed=kept.placed,
        project=kept.project,
        domain=kept.domain,
        history=tuple(one for one in kept.history if one[0] not in {leg.ref for leg in parties}),
    )
    index.calls[call.ref] = call
    effects = _media(call, kept, known)
    for leg, record in zip(parties, kept.parties, strict=True):
        call.know(leg)
        if record.dialog is not None:
            index.dialogs.name(leg, record.dialog.key)
        # TRK-11: a restart makes no call longer than its trunk lets it be.
        effects += hunt.time_limit(call, leg, now - (kept.answered_at or now))
        if leg.trunk is not None and not leg.trunk.foreign:
            effects.append(Sip(FromCarrier(leg.usage, leg.trunk.credentials, leg.trunk.session_timer)))
        if leg.flow.transport.reliable:
            effects += [*survival.detach(call, leg), *devices.left_behind(leg)]
    if kept.waiting and len(call.parties) > 1 and not call.reopening:
        # A transfer was under way, and what rang died with the process: the old call stands again (XFER-6).
        effects += bridge.join(*call.parties[:2])
    work = kept_work.take_back(call, kept.programs, kept.reports)
    return [*effects, call.happened("call.restored"), *_cannot_go_on(call, kept, now), *work]


def _cannot_go_on(call: Call, kept: KeptCall, now: float) -> Effects:
    if any(leg.account is None and leg.trunk is None for leg in call.parties):
        # Its endpoint or trunk was deleted meanwhile.
        return ending.end(call, "endpoint_deleted", "api", now)
    if kept.waiting and len(call.parties) == 1 and not kept.programs:
        # The transferor had left, and the target's ringing died with the process.
        reason = sip_reason(480, "The transfer was lost in a restart")
        return ending.end(call, "transfer_failed", "server", now, reason)
    return []


def _media(call: Call, kept: KeptCall, known: Known) -> Effects:
    """Nothing is renegotiated while the engine has every leg; otherwise all are opened anew, once it is said to be ready."""
    numbers = [leg.media.leg for leg in call.parties if leg.media is not None]
    if numbers and len(numbers) == len(call.parties) and all(number in known.facts for number in numbers):
        call.media_calls = list(kept.media_calls)
        call.index.media.update(dict.fromkeys(kept.media_calls, call))
        for leg, record in zip(call.parties, kept.parties, strict=True):
            if record.room:
                leg.room = record.room
                assert leg.media is not None
                room = call.index.rooms.setdefault(record.room, Room(record.room_number))
                room.legs[leg.ref] = leg.media.leg
            call.index.recordings.update(record.recordings)
            call.index.streams.update(record.streams)
            leg.recordings = {one.control: name for name, one in record.recordings}
            leg.streams = {one.control: name for name, one in record.streams}
        return []
    for leg in call.parties:
        leg.was_heard, leg.media, leg.silent = leg.was_heard or not leg.silent, None, True
    call.reopening = True
    return [StartTimer(reopen.ReopenLimit(call.ref), call.config.reopen_limit)]


def _leg(kept: KeptLeg, known: Known) -> Leg:
    facts = known.facts.get(kept.media.leg) if kept.media is not None else None
    return Leg(
        ref=kept.ref,
        role=kept.role,
        usage=kept.usage,
        flow=kept.flow,
        origin_id=kept.origin_id,
        account=known.accounts.get(kept.username),
        trunk=known.trunks.get(kept.trunk) or foreign_kept(kept.trunk),
        identity=kept.identity,
        shown=kept.shown,
        security=kept.security,
        user_agent=kept.user_agent,
        may_refer=kept.may_refer,
        state=LegState(kept.state),
        offer=kept.offer,
        media=kept.media,
        formats=kept.formats,
        chosen=kept.chosen,
        remote=kept.remote,
        version=kept.version,
        body=kept.body,
        direction=kept.direction,
        told_wish=kept.told_wish,
        silent=facts is None or not 0 <= facts.last_in_ms < SILENT_MS,
        fed=_destination(kept.fed) if kept.fed else None,
        device=kept.device,
        was_heard=kept.heard,
        reoffer=kept.reoffer,
        flow_moves=kept.flow_moves,
        hop=kept.hop,
        video_formats=kept.video_formats,
        video_chosen=kept.video_chosen,
        video_direction=kept.video_direction,
        facts=facts,
        dialled=kept.dialled,
        from_name=kept.from_name,
        to_name=kept.to_name,
        began_at=kept.began_at,
        answered_at=kept.leg_answered_at,
    )


def _destination(name: str) -> Destination:
    user, domain = parted(name)
    return Destination(user, user.casefold() in {*BUILT_INS, *SPEAKING}, domain=domain)
