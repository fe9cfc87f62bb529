"""What is told outside about single legs: their states, in order, each once (API.md 10.1, 10.2).

Lives here: who wants to hear of which leg, and what is new since the last time. Never here: JSON, forms, delivery.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from offhook.calls import history
from offhook.calls.call import Call, CallState, Effects
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.document import StatusWish
from offhook.calls.effects import TellStatus
from offhook.calls.leg import Leg, LegState
from offhook.calls.passing import ANONYMOUS
from offhook.calls.ports import Quality
from offhook.record import record
from offhook.sip.errors import PeerError
from offhook.sip.fields import NameAddr, parse_name_addr
from offhook.sip.message import Request

STATES = ("queued", "initiated", "created", "ringing", "answered", "ending", "ended")
"""The words of JSON events, in order."""
FORM = {"initiated": "initiated", "ringing": "ringing", "answered": "answered", "ended": "completed"}
"""Those of form callbacks."""
MOST_FIELDS = 30
"""X- fields of an INVITE that a request or event repeats."""


@record
class LegReport:
    """One leg at one moment, for whoever speaks to the outside. Times are on the clock of the core; `kind` is `phone` for a
    leg at a carrier, `webrtc` or `sip`; `way` as API.md section 9; `end_code` "" while it lives."""

    call_ref: str
    leg_ref: str
    state: str
    way: str
    kind: str
    from_: str
    to: str
    name: str = ""
    forwarded_from: str = ""
    parent: str = ""
    peer: str = ""
    began_at: float = 0.0
    answered_at: float | None = None
    ended_at: float | None = None
    end_code: str = ""
    end_reason: str = ""
    sip_code: int = 0
    sip_text: str = ""
    sip_call_id: str = ""
    source: str = ""
    uri: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    addresses: tuple[tuple[str, str], ...] = ()
    """From, To and Contact of its INVITE, as they came."""
    quality: Quality | None = None
    sound: "Sound | None" = None
    project: str = ""


@record
class Sound:
    """What samples of an answered leg tell beside its last figures; milliseconds."""

    jitter_min: float
    jitter_max: float
    buffer_max: int
    ptime: int


@dataclass(slots=True, eq=False)
class Reported:
    """A leg of which somebody wants to hear; `told` are the states that were, `sequence` counts what was told."""

    leg: Leg
    wish: StatusWish
    told: list[str] = field(default_factory=list)
    sequence: int = 0


def listen(call: Call, leg: Leg, wish: StatusWish | None) -> None:
    """From now on the leg's states are told."""
    if wish is not None:
        call.reported.append(Reported(leg, wish))
        call.changed()


def listen_from_now(call: Call, leg: Leg, wish: StatusWish) -> None:
    """The same for one who came later: what has been is not told again."""
    call.reported.append(Reported(leg, wish, _reached(call, leg)))


def due(call: Call, now: float) -> Effects:
    """What is new about the legs of a call."""
    return [effect for one in call.reported for effect in _of_leg(call, one, now)]


def _of_leg(call: Call, one: Reported, now: float) -> Effects:
    effects: Effects = []
    for state in _reached(call, one.leg):
        if state not in one.told:
            one.told.append(state)
            word = FORM.get(state, "") if one.wish.form else state
            if word and word in one.wish.events:
                effects.append(_tell(call, one, "state", state, now))
    return effects


def _reached(call: Call, leg: Leg) -> list[str]:
    """Every state that a leg has been in by now."""
    reached = ["queued", "initiated", "created"]
    if leg.rang_at is not None or leg.state in (LegState.RINGING, LegState.EARLY):
        reached.append("ringing")
    if leg.answered_at is not None or leg.confirmed:
        reached.append("answered")
    if leg.state is LegState.ENDED:
        reached.append("ending")
        # What it sounded like is known once the engine has closed its legs.
        if call.state is not CallState.ENDED or not call.media_calls:
            reached.append("ended")
    return reached


def said(call: Call, leg: Leg, kind: str, now: float, **details: str) -> Effects:
    """Something else that happened on a leg, to all who hear of it by JSON."""
    listeners = [one for one in call.reported if one.leg is leg and not one.wish.form]
    return [_tell(call, one, kind, state_of(leg), now, details) for one in listeners]


def _tell(
    call: Call, one: Reported, kind: str, state: str, now: float, details: Mapping[str, str] | None = None
) -> TellStatus:
    sequence, one.sequence = one.sequence, one.sequence + 1
    return TellStatus(one.wish, kind, report(call, one.leg, state, now), sequence, tuple((details or {}).items()))


def state_of(leg: Leg) -> str:
    """The leg's state in the words of JSON events."""
    if leg.state is LegState.ENDED:
        return "ended"
    if leg.confirmed:
        return "answered"
    return "ringing" if leg.state in (LegState.RINGING, LegState.EARLY) else "created"


def report(call: Call, leg: Leg, state: str, now: float) -> LegReport:
    """The leg as it is."""
    peer = call.peer_of(leg) or next((one for one in call.former if one is not leg and not one.behind), None)
    ended = leg.state is LegState.ENDED
    code = leg.end_code or call.end_code or "hangup"
    row = CATALOGUE.get(code)
    request = leg.request
    return LegReport(
        call.ref,
        leg.ref,
        state,
        call.way_of(leg),
        kind_in(call, leg),
        leg.from_name or call.from_name,
        leg.to_name or call.to_name,
        name=_caller_name(leg) if leg is call.caller and request is not None else "",
        forwarded_from=_forwarded_from(call, leg),
        parent="" if leg is call.caller else call.ref,
        peer=peer.ref if peer is not None else "",
        began_at=leg.began_at if leg.began_at is not None else call.created_at,
        answered_at=leg.answered_at,
        ended_at=(leg.ended_at or call.ended_at or now) if ended else None,
        end_code=code if ended else "",
        end_reason=(leg.end_reason or call.end_reason or (row.end if row is not None else "error")) if ended else "",
        sip_code=sip_code(leg) if ended or leg.confirmed else 0,
        sip_text=leg.sip_text,
        sip_call_id=leg.sip_call_id or "",
        source=f"{leg.flow.remote[0]}" if leg.usage else "",
        uri=str(request.uri) if request is not None else "",
        fields=_fields(leg),
        variables=call.placed.variables if call.placed is not None else (),
        addresses=_addresses(request) if request is not None else (),
        project=call.project,
        quality=(leg.facts.quality if leg.facts is not None else leg.quality) if leg.answered_at is not None else None,
        sound=_sound(leg) if leg.answered_at is not None else None,
    )


def _addresses(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple((name, request.headers.get(name) or "") for name in ("From", "To", "Contact"))


def _caller_name(leg: Leg) -> str:
    """The display name that came with the call, or that of its endpoint."""
    if leg.account is not None:
        return leg.account.caller_id or ""
    return _named(leg.identity).display if leg.identity and leg.identity != ANONYMOUS else ""


def _forwarded_from(call: Call, leg: Leg) -> str:
    """Who was called before, and sent the call on: the last that did, unless he hides it."""
    fork = call.fork_of(leg)
    left = fork.history if fork is not None else history.read(leg.request.headers) if leg.request is not None else ()
    return _named(left[-1].address).uri.unescaped_user if left and not left[-1].private else ""


def _named(text: str) -> NameAddr:
    try:
        return parse_name_addr(text)
    except PeerError:
        return parse_name_addr("<sip:unknown>")


def _sound(leg: Leg) -> Sound:
    every = [one for _, one in leg.samples] or [leg.quality]
    jitter = [one.jitter_ms for one in every]
    ptime = leg.audio.ptime if leg.audio is not None else 20
    return Sound(min(jitter), max(jitter), max(one.buffer_ms for one in every), ptime)


def sip_code(leg: Leg) -> int:
    """The final status of the leg's INVITE, or what would be answered in its place."""
    if leg.sip_code:
        return leg.sip_code
    if leg.answered_at is not None or leg.confirmed:
        return 200
    row = CATALOGUE.get(leg.end_code or "")
    return row.sip if row is not None else 0


def kind_in(call: Call, leg: Leg) -> str:
    """The same of a leg that nobody has answered yet: what rings for it, or where it is to go."""
    if leg.usage or leg.state is LegState.ENDED:
        return kind_of(leg)
    rings = next((one for one in call.branches if one.behind == leg.ref), None)
    if rings is not None:
        return kind_of(rings)
    return "phone" if (leg.to_name or call.to_name).startswith("+") else kind_of(leg)


def kind_of(leg: Leg) -> str:
    """What stands behind a leg."""
    if leg.trunk is not None and not leg.trunk.foreign:
        return "phone"
    return "webrtc" if leg.flow.transport.websocket else "sip"


def _fields(leg: Leg) -> tuple[tuple[str, str], ...]:
    headers = leg.request.headers if leg.request is not None else ()
    return tuple((name, value) for name, value in headers if name[:2].lower() == "x-")[:MOST_FIELDS]


def stamp(call: Call, now: float) -> None:
    """The times of a call's legs, as their states say."""
    for leg in call.legs:
        if leg.began_at is None:
            leg.began_at = now
        if leg.rang_at is None and leg.state in (LegState.RINGING, LegState.EARLY):
            leg.rang_at = now
        if leg.answered_at is None and leg.confirmed:
            leg.answered_at = now
        if leg.ended_at is None and leg.state is LegState.ENDED:
            leg.ended_at = now
