"""One call: a caller's leg, the branches that ring, the one that answered; from INVITE to the end.

Lives here: set-up, answer and end of a call. Never here: admission (admission.py), renegotiation in the dialog
(renegotiation.py), lost flows (survival.py). State changes first, then the effects are returned.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from offhook.calls.catalogue import CATALOGUE
from offhook.calls.description import SPEECH, offer_for_offer, offer_for_peer, our_formats, remote_of, speech_of, wanted
from offhook.calls.effects import (
    BridgeMedia,
    CallEffect,
    CallRecord,
    CloseMedia,
    CloseMediaLeg,
    CompleteMedia,
    Happened,
    OpenMedia,
    PlayMedia,
    Publish,
    Sip,
    StartTimer,
    StopTimer,
    UpdateMedia,
    WriteCallLog,
)
from offhook.calls.leg import Leg, LegState
from offhook.calls.outcome import COMPLETED_ELSEWHERE, Outcome, best, of_branch, refusal, stops_all
from offhook.calls.ports import LegLocal, LegOffer
from offhook.calls.routing import Destination, source_of
from offhook.sdp.description import SdpError, Session
from offhook.sdp.offer_answer import answer_direction, select
from offhook.sdp.parse import parse as parse_sdp
from offhook.sip.commands import CancelInvite, HangUp, RespondInvite, SendInvite
from offhook.sip.events import Failure, UsageId
from offhook.sip.fields import parse_name_addr, q850_reason, quote, sip_reason
from offhook.sip.flow import Flow
from offhook.sip.ids import Ids
from offhook.sip.location import Account, Binding
from offhook.sip.message import Headers, Request, Response

Effects = list[CallEffect]

SDP = ("Content-Type", "application/sdp")
NORMAL = q850_reason(16, "Normal call clearing")


class CallState(StrEnum):
    """The states of API.md 12.3; `HELD` is shown when a leg is held."""

    ROUTING = "routing"
    RINGING = "ringing"
    TALKING = "talking"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CallConfig:
    """What call control reads of the settings. Seconds."""

    domain: str
    hosts: frozenset[str]
    ring_seconds: int = 60
    flow_grace: float = 90.0
    detached_silence: float = 15.0
    late_caller: float = 4.0
    call_rate: float = 10.0
    fork_targets: int = 50
    ended_kept: int = 1000


@dataclass(frozen=True, slots=True)
class RingTimer:
    """Nobody has answered for the whole time."""

    call_ref: str


@dataclass(slots=True, eq=False)
class Call:
    """`caller` is leg A; `branches` are those that still ring or have answered, by leg_ref."""

    ref: str
    caller: Leg
    request: Request
    destination: Destination
    created_at: float
    config: CallConfig
    ids: Ids
    state: CallState = CallState.ROUTING
    callee: Account | None = None
    branches: dict[str, Leg] = field(default_factory=dict)
    contacts: dict[str, Binding] = field(default_factory=dict)
    failures: list[Outcome] = field(default_factory=list)
    lost: list[Leg] = field(default_factory=list)
    winner: Leg | None = None
    media_call: int | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    end_code: str | None = None
    ended_by: str = ""
    refused_text: str = ""
    offered: Session | None = None
    ringing_told: bool = False

    # ---- questions

    @property
    def legs(self) -> list[Leg]:
        """Every leg that is or was, the caller's first."""
        return [self.caller, *self.branches.values(), *self.lost]

    @property
    def to_name(self) -> str:
        """Whom the caller dialled, in words."""
        return self.callee.username if self.callee is not None else self.destination.user

    def by_usage(self, usage: UsageId) -> Leg | None:
        """The live leg of a usage."""
        return next((leg for leg in (self.caller, *self.branches.values()) if leg.usage == usage), None)

    def by_media(self, media: int) -> Leg | None:
        """The leg the engine means."""
        return next((leg for leg in self.legs if leg.media is not None and leg.media.leg == media), None)

    def peer_of(self, leg: Leg) -> Leg | None:
        """The other side of an answered call."""
        return self.winner if leg is self.caller else self.caller

    def involves(self, username: str) -> bool:
        """True if an endpoint takes part."""
        folded = username.casefold()
        return any(leg.account is not None and leg.account.username.casefold() == folded for leg in self.legs)

    def happened(self, type_: str, leg: Leg | None = None, **details: str) -> Publish:
        """An event of this call."""
        return Publish(Happened(type_, self.ref, leg.ref if leg else "", tuple(details.items())))

    # ---- set-up

    def read_offer(self) -> Outcome | None:
        """Takes the caller's description, if the INVITE has one; an outcome refuses it."""
        if not self.request.body:
            return None
        try:
            self.offered = parse_sdp(self.request.body)
        except SdpError as error:
            return refusal("sdp_invalid", f"The session description breaks its rules: {error}")
        audio = self.offered.audio
        if audio is None or not speech_of(select(audio.formats, SPEECH)):
            said = ", ".join(one.name for one in audio.formats) if audio else "no audio line"
            return refusal("codec_mismatch", f"Offered: {said}; understood here: {', '.join(SPEECH)}")
        if audio.secure and not audio.webrtc:
            return refusal("codec_mismatch", "SRTP without ICE is not served yet; switch it off on the device")
        self.caller.remote = self.offered
        return None

    def open_built_in(self) -> Effects:
        """Echo, tone, music: one leg."""
        self._prepare_caller()
        assert self.caller.offer is not None
        return [OpenMedia(self.ref, ((self.caller.ref, self.caller.offer),)), self.happened("call.created")]

    def open_branches(self, callee: Account, bindings: tuple[Binding, ...]) -> Effects:
        """The caller's leg and one for each device, in one round trip to the engine."""
        self.callee = callee
        self._prepare_caller()
        first = speech_of(self.caller.formats)
        names = wanted(callee.codecs, first)
        for binding in bindings:
            leg = Leg(
                ref=self.ids.ref(),
                role="callee",
                usage=UsageId(self.ids.token()),
                flow=binding.flow,
                origin_id=_origin_id(self.ids),
                account=callee,
                user_agent=binding.user_agent,
            )
            webrtc = binding.flow.transport.websocket
            leg.formats = our_formats(webrtc, names)
            leg.offer = offer_for_peer(binding.flow, leg.formats, webrtc)
            self.branches[leg.ref] = leg
            self.contacts[leg.ref] = binding
        offers = tuple((leg.ref, leg.offer) for leg in (self.caller, *self.branches.values()) if leg.offer is not None)
        return [OpenMedia(self.ref, offers), self.happened("call.created")]

    def _prepare_caller(self) -> None:
        caller, audio = self.caller, self.caller.audio
        names = wanted(caller.account.codecs if caller.account else SPEECH)
        if audio is not None:
            # The caller's own order counts (4.1 row 1).
            allowed = tuple(name for name in speech_of(audio.formats) if name in names)
            caller.formats = select(audio.formats, tuple(dict.fromkeys(allowed)) or SPEECH)
            caller.offer = offer_for_offer(caller.flow, audio, speech_of(caller.formats))
        else:
            webrtc = caller.flow.transport.websocket
            caller.formats = our_formats(webrtc, names)
            caller.offer = offer_for_peer(caller.flow, caller.formats, webrtc)

    def media_opened(self, media_call: int, legs: dict[str, LegLocal]) -> Effects:
        """The engine has the legs: answer a built-in, or ring."""
        self.media_call = media_call
        for leg in self.legs:
            leg.media = legs.get(leg.ref)
        if self.destination.built_in:
            return self._answer_built_in()
        self.state = CallState.RINGING
        ring = min(self.callee.ring_seconds if self.callee else 60, self.config.ring_seconds)
        invites: Effects = [Sip(self._invite(leg)) for leg in self.branches.values()]
        return [*invites, StartTimer(RingTimer(self.ref), ring)]

    def _invite(self, leg: Leg) -> SendInvite:
        binding = self.contacts[leg.ref]
        hops = int(self.request.headers.get("Max-Forwards") or "70")
        return SendInvite(
            usage=leg.usage,
            flow=leg.flow.id,
            request_uri=binding.contact,
            from_=self._from(),
            to=f"<sip:{self.to_name}@{self.config.domain}>",
            max_forwards=hops - 1,
            headers=Headers([SDP, *self._passed()]),
            body=leg.describe_offer(),
        )

    def _from(self) -> str:
        """Display name and address of the caller, as the callee sees them (CALL-20); nothing else of A's From crosses."""
        given = parse_name_addr(self.request.headers.get("From") or "")
        if given.uri.host == "anonymous.invalid" or given.uri.unescaped_user.casefold() == "anonymous":
            return '"Anonymous" <sip:anonymous@anonymous.invalid>'
        account = self.caller.account
        assert account is not None
        name = account.caller_id or given.display
        return f"{quote(name) + ' ' if name else ''}<sip:{account.username}@{self.config.domain}>"

    def _passed(self) -> list[tuple[str, str]]:
        """Fields that cross inside a space (CALL-20)."""
        names = ("Subject", "Priority", "User-to-User")
        return [(name, value) for name, value in self.request.headers if name in names or name.startswith("X-")]

    # ---- a built-in answers

    def _answer_built_in(self) -> Effects:
        caller = self.caller
        assert caller.media is not None
        source = source_of(self.destination)
        feed: CallEffect = BridgeMedia(caller.media.leg, caller.media.leg) if source is None else PlayMedia(
            caller.media.leg, source
        )  # fmt: skip
        return [*self._accept_caller(()), feed]

    def _accept_caller(self, first: tuple[str, ...]) -> Effects:
        """200 to the caller with our answer (or our offer, if he made none). `first` are the callee's codecs."""
        caller = self.caller
        caller.state = LegState.ANSWERED
        self.state = CallState.TALKING
        body = caller.body
        effects: Effects = []
        if self.offered is None:
            body, caller.offering = caller.describe_offer(), True
        elif not body:
            body, effects = self._answer_caller(first)
        return [*effects, Sip(RespondInvite(caller.usage, 200, Headers([SDP, *self._timer_fields()]), body))]

    def _answer_caller(self, first: tuple[str, ...]) -> tuple[bytes, Effects]:
        """Our answer: one speech codec, the callee's if the caller offered it, and the events that fit its clock."""
        caller = self.caller
        assert self.offered is not None
        assert self.offered.audio is not None
        assert caller.media is not None
        offered = speech_of(caller.formats)
        codec = next((name for name in first if name in offered), offered[0])
        chosen = select(self.offered.audio.formats, (codec,))
        direction = answer_direction(self.offered.audio.direction, "both")
        body = caller.describe_answer(self.offered, chosen, direction)
        return body, [CompleteMedia(caller.media.leg, remote_of(self.offered.audio, chosen))]

    def _timer_fields(self) -> list[tuple[str, str]]:
        """Session-Expires of our 2xx (RFC 4028 section 9): the caller's interval, and the refresher he asked for or us."""
        asked = self.request.headers.get("Session-Expires")
        supported = " ".join(self.request.headers.all("Supported"))
        return session_timer(asked, "timer" in supported)

    # ---- a branch answers

    def progressed(self, leg: Leg, response: Response) -> Effects:
        """18x of a branch: told to the caller once, with early media if it brings any (CALL-6)."""
        if self.state is not CallState.RINGING:
            return []
        leg.state = LegState.RINGING if leg.state is LegState.TRYING else leg.state
        if response.body and not self.caller.body and self.offered is not None:
            early = self._early(leg, response)
            if early:
                return early
        if self.ringing_told or response.status not in (180, 183):
            return []
        self.ringing_told = True
        self.caller.state = LegState.RINGING
        return [Sip(RespondInvite(self.caller.usage, 180)), self.happened("call.ringing", leg)]

    def _early(self, leg: Leg, response: Response) -> Effects:
        completed = self._complete_branch(leg, response)
        if completed is None or self.caller.media is None or leg.media is None:
            return []
        leg.state = self.caller.state = LegState.EARLY
        body, answer = self._answer_caller(speech_of(leg.chosen))
        bridge = BridgeMedia(self.caller.media.leg, leg.media.leg)
        return [*completed, *answer, bridge, Sip(RespondInvite(self.caller.usage, 183, Headers([SDP]), body))]

    def accepted(self, leg: Leg, response: Response, now: float) -> Effects:
        """The first 200 wins (CALL-14)."""
        if self.state is not CallState.RINGING:
            return [Sip(HangUp(leg.usage, COMPLETED_ELSEWHERE))]
        completed = self._complete_branch(leg, response)
        if completed is None:
            return [
                Sip(HangUp(leg.usage, sip_reason(488, "No usable session description"))),
                *self.rejected(leg, None, Failure.BAD_ANSWER, now),
            ]
        self.winner, leg.state, self.answered_at = leg, LegState.ANSWERED, now
        losers = self._cancel_others(leg, COMPLETED_ELSEWHERE, "answered_elsewhere")
        accept = self._accept_caller(speech_of(leg.chosen))
        bridge = self._bridge()
        # Both halves and the bridge stand before the caller hears of it, so that no first word is lost.
        return [*completed, *accept[:-1], *bridge, accept[-1], *losers, StopTimer(RingTimer(self.ref)),
                self.happened("call.answered", leg)]  # fmt: skip

    def _complete_branch(self, leg: Leg, response: Response) -> Effects | None:
        """Takes the branch's answer; None if it is missing or useless. A 200 after early media re-targets the leg."""
        try:
            answer = parse_sdp(response.body) if response.body else leg.remote
        except SdpError:
            return None
        return self._take_answer(leg, answer)

    def _take_answer(self, leg: Leg, answer: Session | None) -> Effects | None:
        """Completes a leg with the answer to our offer; None if no speech codec is left in it."""
        audio = answer.audio if answer is not None else None
        if audio is None or leg.media is None or leg.offer is None:
            return None
        chosen = select(audio.formats, speech_of(audio.formats))
        if not speech_of(chosen):
            return None
        leg.remote, leg.chosen = answer, chosen
        effects: Effects = []
        if audio.setup == "passive" and not leg.offer.dtls_active:
            leg.offer = active(leg.offer)
            effects.append(UpdateMedia(leg.media.leg, leg.offer))
        return [*effects, CompleteMedia(leg.media.leg, remote_of(audio, chosen))]

    def _bridge(self) -> Effects:
        if self.winner is None or self.winner.media is None or self.caller.media is None:
            return []
        return [BridgeMedia(self.caller.media.leg, self.winner.media.leg)]

    def acknowledged(self, leg: Leg, request: Request, now: float) -> Effects:
        """The ACK to a 2xx of ours; if that made the offer, its body is the answer (4.1 rows 2 and 10)."""
        if self.answered_at is None:
            self.answered_at = now
        if not leg.offering:
            return []
        leg.offering = False
        try:
            taken = self._take_answer(leg, parse_sdp(request.body))
        except SdpError:
            taken = None
        if taken is None or leg.audio is None:
            return self.end("bad_answer", "server", now, sip_reason(488, "The ACK carries no usable answer"))
        leg.state = LegState.ANSWERED if leg.audio.direction in ("sendrecv", "recvonly") else LegState.HELD
        return taken

    # ---- a branch fails

    def rejected(self, leg: Leg, response: Response | None, failure: Failure | None, now: float) -> Effects:
        """One branch ended; the caller hears of it when it was the last, or a decline."""
        self._drop(leg, "callee_refused")
        effects: Effects = [CloseMediaLeg(leg.media.leg)] if leg.media is not None else []
        if self.state is not CallState.RINGING:
            return effects
        self.failures.append(of_branch(self.to_name, response, failure))
        if stops_all(response):
            effects += self._cancel_others(leg, sip_reason(603, "Declined on another device"), "callee_declined")
            self.failures = self.failures[-1:]
        elif self.branches:
            return effects
        return [*effects, *self.refuse(best(self.failures), now)]

    def _drop(self, leg: Leg, code: str) -> None:
        self.branches.pop(leg.ref, None)
        leg.state, leg.end_code = LegState.ENDED, leg.end_code or code
        self.lost.append(leg)

    def _cancel_others(self, kept: Leg | None, reason: str, code: str) -> Effects:
        effects: Effects = []
        for leg in list(self.branches.values()):
            if leg is kept:
                continue
            self._drop(leg, code)
            effects.append(Sip(CancelInvite(leg.usage, reason)))
            if leg.media is not None:
                effects.append(CloseMediaLeg(leg.media.leg))
        return effects

    def ring_time_over(self, now: float) -> Effects:
        """CALL-18."""
        if self.state is not CallState.RINGING:
            return []
        cancels = self._cancel_others(None, q850_reason(19, "No answer"), "callee_no_answer")
        return [*cancels, *self.refuse(refusal("callee_no_answer", f"{self.to_name} did not answer"), now)]

    def refuse(self, outcome: Outcome, now: float) -> Effects:
        """The final refusal to the caller."""
        self.refused_text = outcome.text
        respond = Sip(RespondInvite(self.caller.usage, outcome.status, outcome.headers(self.config.domain)))
        self.caller.state, self.caller.end_code = LegState.ENDED, outcome.row.code
        return [respond, *self._over(outcome.row.code, "callee", now)]

    # ---- the end

    def canceled(self, reason: str | None, now: float) -> Effects:
        """The caller gave up; the SIP layer has answered him."""
        cancels = self._cancel_others(None, reason or sip_reason(487, "The caller gave up"), "caller_canceled")
        self.caller.state, self.caller.end_code = LegState.ENDED, "caller_canceled"
        return [*cancels, *self._over("caller_canceled", "caller", now)]

    def hung_up(self, leg: Leg, reason: str | None, now: float) -> Effects:
        """A BYE came; the other side gets one with the same Reason."""
        leg.state, leg.end_code = LegState.ENDED, "hangup"
        return self.end("hangup", "caller" if leg is self.caller else "callee", now, reason or NORMAL)

    def end(self, code: str, by: str, now: float, reason: str = NORMAL) -> Effects:
        """Ends every leg that is left, however far it is."""
        if self.state is CallState.ENDED:
            return []
        effects: Effects = []
        if self.winner is not None and self.winner.confirmed:
            effects.append(Sip(HangUp(self.winner.usage, reason)))
            self.winner.state, self.winner.end_code = LegState.ENDED, code
        effects += self._cancel_others(self.winner, reason, code)
        if self.caller.confirmed:
            effects.append(Sip(HangUp(self.caller.usage, reason)))
        elif self.caller.state is not LegState.ENDED:
            row = CATALOGUE[code]
            outcome = Outcome(row.sip or 480, row, row.cause)
            effects.append(Sip(RespondInvite(self.caller.usage, outcome.status, outcome.headers(self.config.domain))))
        self.caller.state, self.caller.end_code = LegState.ENDED, self.caller.end_code or code
        return [*effects, *self._over(code, by, now)]

    def _over(self, code: str, by: str, now: float) -> Effects:
        self.state, self.end_code, self.ended_by, self.ended_at = CallState.ENDED, code, by, now
        if self.winner is not None:
            self.winner.state = LegState.ENDED
        effects: Effects = [StopTimer(RingTimer(self.ref)), self.happened("call.ended", None, code=code, by=by)]
        if self.media_call is not None:
            return [*effects, CloseMedia(self.media_call)]
        return [*effects, WriteCallLog(self.record())]

    def record(self) -> CallRecord:
        """What the call log keeps of it."""
        legs = tuple((leg.ref, self._leg_record(leg)) for leg in self.legs)
        return CallRecord(self.ref, self.created_at, self.ended_at or self.created_at, legs)

    def _leg_record(self, leg: Leg) -> dict[str, Any]:
        facts = leg.facts
        return {
            "role": leg.role,
            "from": self.caller.account.username if self.caller.account else "",
            "to": self.to_name,
            "endpoint_id": leg.account.id if leg.account else None,
            "user_agent": leg.user_agent,
            "transport": leg.flow.transport.value.lower(),
            "answered": self.answered_at is not None,
            "end_code": leg.end_code or self.end_code,
            "ended_by": self.ended_by,
            "codec": facts.codec_in if facts else None,
            "encryption": facts.suite if facts else None,
            "mos": facts.quality.mos if facts else None,
            "packets_in": facts.quality.packets_in if facts else 0,
            "packets_out": facts.quality.packets_out if facts else 0,
            "findings": [one.code for one in leg.findings],
        }


def active(offer: LegOffer) -> LegOffer:
    """The same half of a leg, as DTLS client."""
    return replace(offer, dtls_active=True)


def _origin_id(ids: Ids) -> int:
    """The o= session id: numeric, below 2^62 so that every parser takes it."""
    return int.from_bytes(ids.octets(8), "big") >> 2


def session_timer(asked: str | None, supported: bool) -> list[tuple[str, str]]:
    """Session-Expires and Require of a 2xx: the interval asked, the refresher asked or us (RFC 4028 section 9).

    JsSIP offers 90 s with itself as refresher and ends its call when nobody refreshes; what it proposed is kept as it is.
    """
    if asked is None or not supported:
        return []
    interval, _, params = asked.partition(";")
    refresher = "uas" if "refresher=uas" in params.replace(" ", "") else "uac"
    if not interval.strip().isdigit():
        return []
    fields = [("Session-Expires", f"{interval.strip()};refresher={refresher}")]
    return [*fields, ("Require", "timer")] if refresher == "uac" else fields


def new_call(
    ids: Ids, config: CallConfig, usage: UsageId, request: Request, flow: Flow, destination: Destination, now: float
) -> Call:
    """A call that has just begun with an INVITE."""
    ref = ids.ref()
    agent = (request.headers.get("User-Agent") or "")[:200]
    caller = Leg(ref=ref, role="caller", usage=usage, flow=flow, origin_id=_origin_id(ids), user_agent=agent)
    return Call(ref, caller, request, destination, now, config, ids)
