"""A leg: our side of one dialog plus its media session, as plain data with the few questions one asks of it."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from offhook.calls.description import local_audio, seen_by
from offhook.calls.encryption import KeyChoice, Security, of_endpoint, profile
from offhook.calls.ports import Direction, KeyKind, LegFacts, LegLocal, LegOffer, Quality
from offhook.calls.routing import Destination
from offhook.calls.trunk import Trunk
from offhook.calls.video import Formats, common, line_of
from offhook.sdp.description import Format, Media, Session
from offhook.sdp.offer_answer import LocalAudio, Origin, write_answer, write_offer, write_reoffer
from offhook.sip.envelope import DialogKey
from offhook.sip.events import UsageId
from offhook.sip.flow import Flow
from offhook.sip.hop import Hop
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request

if TYPE_CHECKING:
    from offhook.calls.adoption import Device
    from offhook.calls.commands import StartRecording, StartStream
    from offhook.calls.sent_away import Referring


class LegState(StrEnum):
    """The states of API.md 12.3."""

    TRYING = "trying"
    RINGING = "ringing"
    EARLY = "early"
    ANSWERED = "answered"
    HELD = "held"
    ENDED = "ended"


class Rekeying(StrEnum):
    """LIVE-15: how far a browser is that has begun no handshake with a new engine. Its answer may just be late, so it is
    waited for; then our offers move it aside and back, which gives it a new transport."""

    NONE = ""
    WAITING = "waiting"
    ASIDE = "aside"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one direction of a leg, from `since` until `until` (None: still)."""

    code: str
    direction: str
    verdict: str
    evidence: dict[str, str]
    since: float
    until: float | None = None
    beside: bool = False
    """It does not end with its direction, but by its code."""


@dataclass(frozen=True, slots=True)
class TextInside:
    """A text from the other side of the call, to be sent in the leg's dialog."""

    ref: str
    fields: Headers
    body: bytes


@dataclass(slots=True, eq=False)
class Leg:
    """`usage` is its INVITE usage; `media` what the engine opened for it, None before that.

    `request` is the INVITE of a leg that came in, `offered` the description in it. `offering`: a 2xx or
    reliable 1xx of ours made the offer, the ACK or PRACK must bring the answer. `early` are the answers that 1xx brought to
    our INVITE, by the remote tag of their early dialog (4.1 row 5); `early_media`: their sound may be heard. `dialog` names
    it to others, once it has both tags. `may_refer`: a trunk whose REFER is served (XFER-8); an endpoint's always is.
    `detached`: its flow is gone, `device` may come back for it. `asking`: we restart its media, `asked`: our re-INVITE
    is out, `reoffer`: it has new media that the peer does not know yet. `asleep`, `unheard`: its page answered no INVITE.
    `clocked`: survival's clocks may run for it. `fed`: the built-in destination it hears. `was_heard`: its sound came
    before its engine died.
    """

    ref: str
    role: str
    usage: UsageId
    flow: Flow
    origin_id: int
    account: Account | None = None
    trunk: Trunk | None = None
    """The carrier at the other end; `identity` is the From of its caller towards devices, `shown` the number there."""
    identity: str = ""
    connected: str = ""
    """The name that the peer has given for itself inside the dialog (RFC 4916)."""
    shown: str = ""
    hop: Hop | None = None
    """The address that was called, where one was: the way back when its connection breaks."""
    security: Security | None = None
    user_agent: str = ""
    request: Request | None = None
    dialog: DialogKey | None = None
    may_refer: bool = False
    offered: Session | None = None
    state: LegState = LegState.TRYING
    offer: LegOffer | None = None
    media: LegLocal | None = None
    formats: tuple[Format, ...] = ()
    chosen: tuple[Format, ...] = ()
    video_formats: Formats = ()
    video_chosen: Formats = ()
    video_direction: str = "sendrecv"
    video_step: str = ""
    """Video that is added by an offer of ours (adding.py): `opening` in the engine, `offered` to its phone, `again` soon.
    `video_formats` are those of our half by the numbers we receive, `video_chosen` what was agreed, as it numbers them."""
    video_waits: bool = False
    """Its own offer of video waits for the other side's answer."""
    remote: Session | None = None
    early: dict[str, Session] = field(default_factory=dict)
    early_media: bool = True
    version: int = 1
    body: bytes = b""
    direction: str = "sendrecv"
    offering: bool = False
    stood: tuple[str, Direction] | None = None
    """Our directions, in the description and at the engine, before an offer of ours that a re-INVITE has asked for."""
    detached: bool = False
    silent: bool = True
    fed: Destination | None = None
    rounds: int = 0
    playing: str = ""
    streams: dict[str, str] = field(default_factory=dict)
    """Names of the feeds that run, by the names that commands know."""
    recordings: dict[str, str] = field(default_factory=dict)
    """The same of recordings."""
    awaiting: "list[StartStream | StartRecording]" = field(default_factory=list)
    """Streams and recordings that begin with the answer."""
    """How often a built-in destination that speaks has done so; the name of the sound files that play."""
    room: str | None = None
    device: "Device | None" = None
    spoke: bool = False
    proposed: str = ""
    before: str = ""
    wished: str = ""
    told_wish: str = "both"
    """Direction of an offer of ours that is out, the one before it, and one that waits; `told_wish`: what its phone
    was shown of the other side (proposal.py)."""
    asking: bool = False
    asked: bool = False
    reoffer: bool = False
    rekeying: Rekeying = Rekeying.NONE
    was_heard: bool = False
    was_heard_once: bool = False
    """Sound has come from it at some time."""
    asleep: bool = False
    unheard: bool = False
    clocked: bool = False
    flow_moves: int = 0
    end_code: str | None = None
    dialled: str = ""
    """`outbound-api` for a leg that a command has placed, `outbound-dial` for one of a document, "" for any other."""
    from_name: str = ""
    to_name: str = ""
    """Who calls whom on this leg, where a command or a document said so; the call's own names count else."""
    behind: str = ""
    """The place for which this branch rings: whoever answers takes that leg's ref, the others are no legs of their own."""
    began_at: float | None = None
    rang_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    sip_code: int = 0
    sip_text: str = ""
    """The final status of its INVITE, 0 while there is none, and the words that came with it."""
    end_reason: str = ""
    """What a command wanted to be told as the reason of its end."""
    takes_refer: bool = True
    """Its peer has not said that it takes no REFER; `referring`: how one of ours goes on."""
    referring: "Referring | None" = None
    held_by_api: bool = False
    muted: bool = False
    """Held: it hears music and is not heard; muted: it hears and is not heard."""
    digits: list[tuple[str, int, str]] = field(default_factory=list)
    texts: list[TextInside] = field(default_factory=list)
    """On their way to it; the first is out."""
    takes_info: bool = False
    """Its peer lists INFO in Allow. `infos` wait for the INFO that is out; `info_tokens` count those that come."""
    infos: list[bytes] = field(default_factory=list)
    infos_out: bool = False
    info_tokens: tuple[float, float] | None = None
    last_press: tuple[str, str, float] | None = None
    pending: tuple[Hashable, Session, tuple[Format, ...], str, Headers] | None = None
    findings: list[Finding] = field(default_factory=list)
    quality: Quality = field(default_factory=Quality)
    samples: list[tuple[float, Quality]] = field(default_factory=list)
    over: tuple[str, ...] = ()
    """Codes whose threshold the last sample has passed."""
    """Quality every five seconds, with its time; of a long call every second one, every fourth, and so on."""
    facts: LegFacts | None = None
    path: tuple[str, str] = ("", "")
    path_changes: int = 0
    over_tcp: bool = False
    suite: str = ""

    def __repr__(self) -> str:
        return f"<leg {self.ref} {self.role} {self.state} {self.flow.transport}>"

    @property
    def webrtc(self) -> bool:
        """True for a leg with ICE and DTLS."""
        return self.offer is not None and self.offer.path.value == "webrtc"

    @property
    def policy(self) -> Security:
        """What its endpoint, or the trunk that set `security`, wants of encryption."""
        if self.security is not None:
            return self.security
        return of_endpoint(self.account.encryption, self.account.ciphers) if self.account is not None else Security()

    @property
    def placed(self) -> bool:
        """True for a leg that we placed at a carrier; one that came from there has no address that was called."""
        return self.trunk is not None and self.hop is not None

    @property
    def confirmed(self) -> bool:
        """True once it was answered, until it ends."""
        return self.state in (LegState.ANSWERED, LegState.HELD)

    @property
    def sip_call_id(self) -> str | None:
        """The Call-ID of its dialog, as far as it is known."""
        if self.dialog is not None:
            return self.dialog.call_id
        return self.request.headers.get("Call-ID") if self.request is not None else None

    @property
    def audio(self) -> Media | None:
        """The peer's active audio line."""
        return self.remote.audio if self.remote is not None else None

    def describe_offer(self) -> bytes:
        """Our offer; kept, so that an unchanged one can be repeated byte for byte."""
        local = self._local("actpass" if self.webrtc else "", self.ours_of_chosen())
        return self._keep(write_offer(self.webrtc, local, self._origin(), line_of(self, self.video_formats, None)))

    def ours_of_chosen(self) -> tuple[Format, ...]:
        """What was agreed, under the payload types by which we receive: a peer may number its own otherwise (DTMF-2)."""
        agreed = {(one.name, one.clock) for one in self.chosen}
        return tuple(one for one in self.formats if (one.name, one.clock) in agreed) or self.chosen or self.formats

    def describe_answer(self, offer: Session, formats: tuple[Format, ...], direction: str) -> bytes:
        """Our answer with these payload types; kept. `direction` is ours."""
        self.chosen, self.direction = formats, direction
        setup = ""
        if self.offer is not None and self.offer.keys is KeyKind.DTLS:
            setup = "active" if self.offer.dtls_active else "passive"
        video = line_of(self, self.video_chosen, offer.video)
        return self._keep(write_answer(offer, self._local(setup, formats), self._origin(), video))

    def describe_reoffer(self) -> bytes:
        """Our offer inside the dialog: what is agreed, every line of the peer's where it was (RFC 3264 section 8); kept."""
        if self.remote is None:
            return self.describe_offer()
        setup = "actpass" if self.offer is not None and self.offer.keys is KeyKind.DTLS else ""
        seen = self.video_formats if self.video_step else common(self.video_formats, self.video_chosen)
        local = self._local(setup, self.ours_of_chosen())
        aside = self.rekeying is Rekeying.ASIDE
        return self._keep(write_reoffer(self.remote, local, self._origin(), line_of(self, seen, None), aside=aside))

    def _keep(self, body: bytes) -> bytes:
        self.body = body
        return body

    def _origin(self) -> Origin:
        assert self.media is not None
        return Origin(self.origin_id, self.version, seen_by(self.flow, self.media).candidates[0][0])

    def _local(self, setup: str, formats: tuple[Format, ...]) -> LocalAudio:
        assert self.media is not None
        assert self.offer is not None
        written = profile(KeyChoice(self.offer.keys, self.offer.suites), self.policy)
        audio = local_audio(seen_by(self.flow, self.media), self.offer, formats, self.direction, setup, written)
        return replace(audio, ptime=self.trunk.ptime) if self.trunk is not None else audio

    def ours(self) -> Direction:
        """Our direction as the engine knows it."""
        return Direction(self.direction)

    def has_finding(self, code: str) -> bool:
        """True while one with this code is open."""
        return any(one.code == code and one.until is None for one in self.findings)

    def add_finding(self, code: str, direction: str, verdict: str, evidence: dict[str, str], now: float) -> None:
        """One more beside whatever else is wrong in its direction; `end_finding` closes it by its code."""
        self.findings.append(Finding(code, direction, verdict, evidence, now, beside=True))

    def end_finding(self, code: str, now: float) -> None:
        """What the code says is true no more."""
        self.findings = [
            replace(one, until=now) if one.code == code and one.until is None else one for one in self.findings
        ]

    def open_finding(self, code: str, direction: str, verdict: str, evidence: dict[str, str], now: float) -> None:
        """A verdict of the engine; one finding is open per direction at a time."""
        self.close_finding(direction, now)
        self.findings.append(Finding(code, direction, verdict, evidence, now))

    def close_finding(self, direction: str, now: float) -> None:
        """The direction is heard again."""
        self.findings = [
            one if one.until is not None or one.direction != direction or one.beside
            else Finding(one.code, one.direction, one.verdict, one.evidence, one.since, now)
            for one in self.findings
        ]  # fmt: skip


def same_endpoint(one: Leg, other: Leg) -> bool:
    """True for two legs of devices of one endpoint."""
    return one.account is not None and other.account is not None and one.account.id == other.account.id
