"""A registration of ours with somebody else's registrar: RFC 3261 section 10.2, and RFC 5626 where the peer knows it.

A machine: what the registrar said and what time it is go in, what to send, when to wake and what to tell come out. Never
here: names, flows and transactions; whoever runs it turns `Register` into a `SendRequest` and feeds the answer back.
"""

from dataclasses import dataclass
from enum import StrEnum

from offhook.sip.errors import PeerError
from offhook.sip.events import Failure
from offhook.sip.fields import parse_name_addr, parse_number, parse_via, split_list
from offhook.sip.flow import Flow, Transport
from offhook.sip.ids import Ids
from offhook.sip.message import Headers, Message, Response
from offhook.sip.uri import parse_host_port

REFRESH, REFRESH_SPREAD = 0.80, 0.05
"""A registration is refreshed at this part of its life (TRK-2); the spread keeps many lines from coming at once."""
BACKOFF_FIRST, BACKOFF_MOST, BACKOFF_SPREAD = 2.0, 300.0, 0.25
"""Seconds to the next try after a failure, doubled each time; a registrar that is down meets no storm, nor does one that
says `Retry-After: 0` or grants a second."""
REFUSED_PAUSE = 900.0
"""Seconds after 403 or a password refused twice: a person has to act, and trying on would lock the account."""
RETRY_AFTER_MOST = 3600
"""Longest Retry-After obeyed, in seconds."""
EXPIRES_MOST = 604_800
"""Longest life of a registration that is believed, in seconds: a week."""


class LineState(StrEnum):
    """The states of API.md 12.1."""

    OFF = "off"
    REGISTERING = "registering"
    REGISTERED = "registered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Register:
    """Send REGISTER with these fields and CSeq number; answer by `answered` or `failed`."""

    cseq: int
    expires: int


@dataclass(frozen=True, slots=True)
class Wake:
    """Call `due` after this many seconds; replaces an earlier one, None only takes that back."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Changed:
    """The state has changed. `alarm`: a person has to act; said once until it works again."""

    state: LineState
    alarm: bool = False


Step = Register | Wake | Changed


@dataclass(slots=True)
class Line:
    """One registration, alive as long as its trunk. `contact_user` is the random token that marks inbound calls (TRK-10).

    `status` and `reason` are the registrar's last words, `code` a code of the error catalogue or "".
    """

    ids: Ids
    call_id: str
    contact_user: str
    instance: str
    expires: int
    state: LineState = LineState.OFF
    status: int = 0
    reason: str = ""
    code: str = ""
    expires_at: float = 0.0
    _wanted: int = 0
    _cseq: int = 0
    _failures: int = 0
    _alarmed: bool = False
    _outbound: bool = False
    _seen: tuple[str, int] | None = None
    _raised: bool = False
    _corrected: bool = False

    # what comes in

    def start(self, now: float) -> list[Step]:
        """Registers, unless it does already."""
        if self.state is not LineState.OFF:
            return []
        self._wanted = self.expires
        return [*self._to(LineState.REGISTERING), self._next()]

    def again(self, now: float) -> list[Step]:
        """Registers at once, whatever it waited for: asked for by the operator, or the flow is gone."""
        if self.state is LineState.OFF:
            return self.start(now)
        return [Wake(None), *self._to(LineState.REGISTERING), self._next()]

    def stop(self) -> list[Step]:
        """Takes the registration back, if there is one."""
        if self.state is LineState.OFF:
            return []
        held = self.state is LineState.REGISTERED
        steps: list[Step] = [Wake(None), *self._to(LineState.OFF)]
        return [*steps, Register(self._count(), 0)] if held else steps

    def due(self, now: float) -> list[Step]:
        """The wake-up came."""
        return [] if self.state is LineState.OFF else [self._next()]

    def answered(self, response: Response, cseq: int, flow: Flow, now: float) -> list[Step]:
        """A final response; `cseq` is the number it answers, which a challenge may have raised."""
        self._cseq = max(self._cseq, cseq)
        self.status, self.reason = response.status, response.reason
        if self.state is LineState.OFF:
            return []
        self._outbound = self._outbound or "outbound" in _tags(response)
        if response.status < 300:
            return self._granted(response, flow, now)
        if response.status == 423 and not self._raised:
            return self._too_brief(response)
        if response.status in (401, 403, 407):
            return self._refused()
        return self._failed("trunk_registration_failed", retry_after(response))

    def failed(self, failure: Failure | None, code: str, reason: str, now: float) -> list[Step]:
        """No answer, no flow or no address; `code` says which."""
        self.status, self.reason = 0, reason
        return [] if self.state is LineState.OFF else self._failed(code, None)

    # what it leads to

    def _granted(self, response: Response, flow: Flow, now: float) -> list[Step]:
        granted = self._time_of(response)
        self._failures, self._alarmed, self._raised, self.code = 0, False, False, ""
        self.expires_at = now + granted
        moved = self._look_at_ourselves(response, flow)
        part = self.ids.uniform(REFRESH - REFRESH_SPREAD, REFRESH + REFRESH_SPREAD)
        steps = self._to(LineState.REGISTERED)
        # The Contact we gave leads nowhere: the registrar saw us at another address, which the next REGISTER names. One that
        # sees us elsewhere each time is not asked without end.
        at_once, self._corrected = moved and not self._corrected, moved
        return [*steps, self._next()] if at_once else [*steps, Wake(max(granted * part, BACKOFF_FIRST))]

    def _time_of(self, response: Response) -> int:
        """10.2.4: the `expires` of our own Contact, then Expires, then what we asked for."""
        for line in response.headers.all("Contact"):
            for text in split_list(line):
                try:
                    contact = parse_name_addr(text)
                except PeerError:
                    continue
                said = _seconds(contact.params.get("expires"))
                if contact.uri.user == self.contact_user and said:
                    return said
        return _seconds(response.headers.get("Expires")) or self._wanted

    def _look_at_ourselves(self, response: Response, flow: Flow) -> bool:
        """TRK-2: `received` and `rport` of our Via correct the Contact, where no public address is set."""
        if flow.transport is not Transport.UDP or not _is(flow.advertised, flow.local):
            return False
        via = parse_via(split_list(response.headers.get("Via") or "")[0])
        host, port = (via.params.get("received") or via.host).strip("[]"), via.params.get("rport")
        try:
            parse_host_port(f"[{host}]" if ":" in host else host)
            given = (host, parse_number(port, "rport", 65_535) if port else flow.local[1])
        except PeerError:
            return False
        before, self._seen = self._seen, None if given == flow.local else given
        return self._seen != before

    def _too_brief(self, response: Response) -> list[Step]:
        """10.2.8: once more, at once, with the registrar's own minimum."""
        least = _seconds(response.headers.get("Min-Expires"))
        if least <= self._wanted:
            return self._failed("trunk_registration_failed", None)
        self._wanted, self._raised = least, True
        return [self._next()]

    def _refused(self) -> list[Step]:
        self.code = "trunk_auth_failed"
        return [*self._alarm(), Wake(REFUSED_PAUSE)]

    def _failed(self, code: str, after: int | None) -> list[Step]:
        self.code, self._raised = code, False
        wait = min(BACKOFF_FIRST * 2**self._failures, BACKOFF_MOST)
        self._failures = min(self._failures + 1, 16)
        spread = self.ids.uniform(1 - BACKOFF_SPREAD, 1 + BACKOFF_SPREAD)
        pause = max(float(after), BACKOFF_FIRST) if after is not None else wait * spread
        return [*self._to(LineState.FAILED), Wake(pause)]

    def _alarm(self) -> list[Step]:
        first, self._alarmed = not self._alarmed, True
        self.state = LineState.FAILED
        return [Changed(LineState.FAILED, alarm=first)]

    def _to(self, state: LineState) -> list[Step]:
        before, self.state = self.state, state
        return [] if before is state else [Changed(state)]

    def _next(self) -> Register:
        return Register(self._count(), self._wanted)

    def _count(self) -> int:
        self._cseq += 1
        return self._cseq

    # what REGISTER says

    def headers(self, flow: Flow, expires: int) -> Headers:
        """Contact, Expires and Supported of a REGISTER down this flow (RFC 5626 section 4.2.1 with outbound)."""
        where = flow.advertised if self._seen is None else _host_port(self._seen)
        transport = "" if flow.transport is Transport.UDP else f";transport={flow.transport.lower()}"
        contact = f"<sip:{self.contact_user}@{where}{transport}{';ob' if self._outbound else ''}>"
        if self._outbound:
            contact += f';reg-id=1;+sip.instance="<{self.instance}>"'
        return Headers([("Contact", contact), ("Expires", str(expires)), ("Supported", "path, outbound")])


def retry_after(response: Response) -> int | None:
    """Retry-After in seconds, at most an hour; None if the response has none that can be read (20.33)."""
    text = (response.headers.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
    return min(int(text), RETRY_AFTER_MOST) if text.isascii() and text.isdigit() else None


def _seconds(text: str | None) -> int:
    """Seconds of a field, at most a week; 0 if there are none that can be read."""
    digits = (text or "").strip()
    return min(int(digits[:10]), EXPIRES_MOST) if digits.isascii() and digits.isdigit() else 0


def _tags(message: Message) -> set[str]:
    lines = (*message.headers.all("Supported"), *message.headers.all("Require"))
    return {tag.strip().lower() for line in lines for tag in line.split(",")}


def _host_port(address: tuple[str, int]) -> str:
    host = f"[{address[0]}]" if ":" in address[0] and not address[0].startswith("[") else address[0]
    return f"{host}:{address[1]}"


def _is(advertised: str, local: tuple[str, int]) -> bool:
    return advertised == _host_port(local)
