"""A document at work for one leg: step after step, until it ends the call or the leg leaves (API.md 8.4).

Lives here: which step is done, what the next waits for, fetching on. Never here: what a step calls (connecting.py), the
languages (swml.py, cxml.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from offhook.calls import answering, bridge, connecting, ending, reports
from offhook.calls.call import NORMAL, Call, CallState, Effects
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.document import REASONS, Answer, Connect, Document, Hangup, Link, Pause, Proceed, Step
from offhook.calls.effects import DocumentToken, FetchDocument, StartTimer, StopTimer
from offhook.calls.events import DocumentFetched
from offhook.calls.leg import Leg
from offhook.calls.outcome import Outcome, refusal
from offhook.record import record
from offhook.sip.fields import q850_reason, sip_reason


@record
class PauseOver:
    """A `Pause` has lasted long enough."""

    call_ref: str
    leg_ref: str


Ended = tuple[str, str, str]
"""Code, who ended it, Reason: how the call ends after the last step."""
AS_USUAL: Ended = ("hangup", "server", NORMAL)


@dataclass(slots=True, eq=False)
class Program:
    """`left` are the steps to come, `fetches` counts the documents, `redirects` those in a row without a step that took
    time. `pending` is the document that is awaited, from `asked`; `opens`: the leg's media is awaited; `dialling` is the
    step whose destinations ring or talk, `since` when one answered, `outcome` what the last of them came to."""

    leg: Leg
    left: list[Step] = field(default_factory=list)
    fetches: int = 0
    redirects: int = 0
    pending: DocumentToken | None = None
    asked: Link | None = None
    opens: bool = False
    dialling: Connect | None = None
    since: float | None = None
    outcome: Outcome | None = None
    after: Ended = AS_USUAL
    switched: "Switched | None" = None
    """A transfer that waits for its document: what is done when it is there, or is not."""

    # ---- what the call tells

    def partner_left(self, call: Call, partner: Leg, code: str, by: str, now: float, reason: str) -> Effects:
        """See call.Director: the document goes on."""
        self.after = (code, by, reason)
        if self.pending is not None:
            return []
        return self.dialled(call, partner, None, now)

    def dialled(self, call: Call, partner: Leg | None, outcome: Outcome | None, now: float) -> Effects:
        """A `Connect` is over: talked, or nobody answered."""
        step, self.dialling, self.outcome = self.dialling, None, outcome
        if step is None or step.action is None:
            return advance(call, self, now)
        self.left = []
        return fetch(call, self, step.action, now, _dial_words(call, partner, outcome, self.since, now))


@record
class Switched:
    """What a document that was fetched for a transfer means for the leg that it came for."""

    arrived: Callable[[Call, Program, Document, float], Effects]
    failed: Callable[[Call, Program, Outcome, float], Effects]


def _dial_words(
    call: Call, partner: Leg | None, outcome: Outcome | None, since: float | None, now: float
) -> tuple[tuple[str, str], ...]:
    """What `action` is told (API.md 13.2)."""
    status = "completed" if outcome is None else STATUS.get(outcome.row.end, "failed")
    words = [("DialCallStatus", status)]
    if partner is not None:
        words.insert(0, ("DialCallSid", partner.ref))
        if partner.sip_call_id and reports.kind_of(partner) != "phone":
            words.append(("DialSipCallId", partner.sip_call_id))
    code = 200 if outcome is None else outcome.heard or outcome.status
    if since is not None:
        words.append(("DialCallDuration", str(round(now - since))))
    return (*words, ("DialSipResponseCode", str(code)))


STATUS = {
    "hangup": "completed", "max_duration": "completed", "busy": "busy", "decline": "busy", "noAnswer": "no-answer",
    "cancel": "canceled", "abandoned": "canceled", "error": "failed", "not_found": "failed",
}  # fmt: skip
"""End reasons to the words of `CallStatus` and of the log (API.md 8.3)."""


# ---- begin


def run(call: Call, leg: Leg, document: Document, now: float) -> Effects:
    """A document for a leg, in the place of one that it may have."""
    return [*stop(call, leg), *take(call, Program(leg), document, now)]


def stop(call: Call, leg: Leg) -> Effects:
    """A document that another takes the place of: what rings for it is cancelled."""
    return [*connecting.stop(call, leg, "transferred"), StopTimer(PauseOver(call.ref, leg.ref))]


def take(call: Call, program: Program, document: Document, now: float) -> Effects:
    """The program goes on with this document."""
    call.programs[program.leg.ref] = program
    program.left, program.dialling = list(document.steps), None
    return [call.explain(f"a document of {len(document.steps)} steps runs", program.leg), *advance(call, program, now)]


def fetch_and_run(call: Call, leg: Leg, link: Link, now: float) -> Effects:
    """The document of a URL for a leg."""
    program = call.programs[leg.ref] = Program(leg)
    return fetch(call, program, link, now)


def fetch(
    call: Call, program: Program, link: Link, now: float, extra: tuple[tuple[str, str], ...] = (), key: str = ""
) -> Effects:
    """The next document is asked for, under the leg's ref or `key` among the call's programs. Too many in a row are a
    circle."""
    program.fetches += 1
    program.redirects += 1
    program.asked = link
    if program.redirects > call.config.document_hops:
        text = f"More than {call.config.document_hops} documents in a row, the limit document_redirects"
        return fail(call, program, refusal("document_loop", text), now)
    program.pending = DocumentToken(call.ref, key or program.leg.ref, program.fetches)
    state = reports.state_of(program.leg)
    asked = FetchDocument(program.pending, link, reports.report(call, program.leg, state, now), extra)
    return [call.explain(f"the document at {link.url} is fetched", program.leg), asked]


def fetched(call: Call, event: DocumentFetched, now: float) -> Effects:
    """It is there, or it is not; one that nobody waits for any more is passed over."""
    program = call.programs.get(event.token.leg_ref)
    if not isinstance(program, Program) or program.pending != event.token or call.state is CallState.ENDED:
        return []
    program.pending = None
    switched, program.switched = program.switched, None
    if event.document is None:
        outcome = refusal(event.code, event.text)
        return switched.failed(call, program, outcome, now) if switched else fail(call, program, outcome, now)
    if switched is not None:
        return switched.arrived(call, program, event.document, now)
    program.left = list(event.document.steps)
    return advance(call, program, now)


# ---- step by step


def advance(call: Call, program: Program, now: float) -> Effects:
    """The next step, or the end."""
    effects: Effects = []
    while program.leg in call.parties and call.state is not CallState.ENDED:
        if not program.left:
            return [*effects, *_over(call, program, now)]
        step = program.left[0]
        if isinstance(step, Answer):
            if not program.leg.confirmed:
                return [*effects, *answer(call, program, now)]
            program.left.pop(0)
            continue
        return [*effects, *_PERFORM[type(step)](call, program, step, now)]
    return effects


def answer(call: Call, program: Program, now: float) -> Effects:
    """The leg is answered once it has media; the step that wanted it comes again then (`opened`)."""
    leg, program.opens = program.leg, True
    if leg.media is not None:
        return opened(call, now)
    if leg.offer is not None:
        return []
    bridge.prepare_incoming(leg)
    return bridge.open_legs(call, [leg])


def opened(call: Call, now: float) -> Effects:
    """The engine has opened legs: those that a document answers get their 200."""
    effects: Effects = []
    for program in list(call.programs.values()):
        if isinstance(program, Program) and program.opens and program.leg.media is not None:
            program.opens = False
            if not program.leg.confirmed:
                call.answered_at = call.answered_at if call.answered_at is not None else now
                effects += answering.accept_incoming(call, program.leg, ())
                effects.append(call.happened("call.answered", program.leg))
            effects += advance(call, program, now)
    return effects


def _connect(call: Call, program: Program, step: Connect, now: float) -> Effects:
    if step.answers and not program.leg.confirmed:
        return answer(call, program, now)
    program.left.pop(0)
    program.dialling, program.since, program.redirects, program.after = step, None, 0, AS_USUAL
    return connecting.begin(call, program, step, now)


def _proceed(call: Call, program: Program, step: Proceed, now: float) -> Effects:
    program.left = []
    return fetch(call, program, step.link, now)


def _pause(call: Call, program: Program, step: Pause, now: float) -> Effects:
    program.left.pop(0)
    program.redirects = 0
    return [StartTimer(PauseOver(call.ref, program.leg.ref), step.seconds)]


def pause_over(call: Call, leg_ref: str, now: float) -> Effects:
    """The next step."""
    program = call.programs.get(leg_ref)
    if not isinstance(program, Program) or program.pending is not None or program.dialling is not None:
        return []
    return advance(call, program, now)


def _hangup(call: Call, program: Program, step: Hangup, now: float) -> Effects:
    code = REASONS[step.reason]
    if program.leg.confirmed:
        row = CATALOGUE[code]
        reason = NORMAL if code == "hangup" else q850_reason(row.q850, row.cause)
        return leave(call, program, code, "server", now, reason)
    outcome = refusal(code if code != "hangup" else "callee_declined", f"The document at {step.where} ends the call")
    return _refuse(call, program, outcome, now)


def _over(call: Call, program: Program, now: float) -> Effects:
    if not program.leg.confirmed:
        outcome = program.outcome or refusal("callee_declined", "The document ends without an answer")
        return _refuse(call, program, outcome, now)
    if program.outcome is not None:
        row = program.outcome.row
        reason = q850_reason(row.q850, program.outcome.text) if row.q850 else sip_reason(480, program.outcome.text)
        call.refused_text = program.outcome.text
        return leave(call, program, row.code, "callee", now, reason)
    return leave(call, program, *program.after[:2], now, program.after[2])


def leave(call: Call, program: Program, code: str, by: str, now: float, reason: str) -> Effects:
    """The program's leg is done, and the call with it unless others were parted from it."""
    call.programs.pop(program.leg.ref, None)
    return ending.end_leg(call, program.leg, code, by, now, reason)


def fail(call: Call, program: Program, outcome: Outcome, now: float) -> Effects:
    """The document cannot go on (8.4): its code ends the call."""
    if program.leg.confirmed:
        call.refused_text = outcome.text
        row = outcome.row
        return leave(call, program, row.code, "server", now, q850_reason(row.q850 or 41, outcome.text))
    return _refuse(call, program, outcome, now)


def _refuse(call: Call, program: Program, outcome: Outcome, now: float) -> Effects:
    call.programs.pop(program.leg.ref, None)
    return ending.refuse(call, outcome, now)


def stopped(call: Call) -> Effects:
    """The call is over, and so are the clocks of its documents."""
    programs, call.programs = call.programs, {}
    return [StopTimer(PauseOver(call.ref, ref)) for ref in programs]


_PERFORM: dict[type, Callable[[Call, Program, Any, float], Effects]] = {
    Connect: _connect, Proceed: _proceed, Pause: _pause, Hangup: _hangup,
}  # fmt: skip
