"""How leg B's end becomes leg A's final response (the table of SIGNALLING.md 4.4), each with words.

Lives here: status mapping and the best of several failures (CALL-15). Never here: who hears it.
"""

from dataclasses import replace

from offhook.calls.catalogue import CATALOGUE, Row
from offhook.record import record
from offhook.sip.events import Failure
from offhook.sip.fields import q850_reason, warning
from offhook.sip.message import Headers, Response
from offhook.sip.reason import protocol_of, read_reasons
from offhook.sip.response import phrase
from offhook.sip.session_timer import OPTION

COMPLETED_ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
"""Reason for the branches that lost (CALL-14)."""


@record
class Outcome:
    """A final refusal: status for the caller, catalogue row, and one sentence about this case.

    `heard` is the status that the branch ended with, 0 if it is not about one branch; `reasons` are the Reason values that
    the branch gave.
    """

    status: int
    row: Row
    text: str
    heard: int = 0
    reasons: tuple[str, ...] = ()

    def headers(self, domain: str) -> Headers:
        """Warning with the slug and the words, Reason with the Q.850 cause: the far side's own, or else the row's."""
        fields = [("Warning", warning(domain, self.row.slug, self.text))]
        if self.status == 488:
            # CALL-23: RFC 3261 section 20.43 has codes of its own for what cannot be agreed.
            fields.append(("Warning", f'305 {domain} "Incompatible media format"'))
        if self.status == 421:
            # RFC 3261 section 21.4.16 with RFC 4028: the one extension that is ever demanded of a peer.
            fields.append(("Require", OPTION))
        fields += [("Reason", value) for value in self.reasons]
        if self.row.q850 and "q.850" not in map(protocol_of, self.reasons):
            fields.append(("Reason", q850_reason(self.row.q850, self.text)))
        return Headers(fields)


def refusal(code: str, text: str = "") -> Outcome:
    """The outcome of a catalogue row that has a status of its own."""
    row = CATALOGUE[code]
    return Outcome(row.sip, row, text or row.cause)


def of_branch(callee: str, response: Response | None, failure: Failure | None) -> Outcome:
    """What one branch's end means for the caller."""
    if response is not None:
        said = _of_response(callee, response)
        return replace(said, heard=response.status, reasons=read_reasons(response.headers))
    # No response counts as 408 (RFC 3261 section 8.1.3.1), a useless answer as the 502 that it becomes.
    heard = 502 if failure is Failure.BAD_ANSWER else 408
    return replace(_of_failure(callee, failure), heard=heard)


def _of_failure(callee: str, failure: Failure | None) -> Outcome:
    if failure is Failure.FLOW_FAILED:
        return refusal("flow_lost", f"The connection to {callee}'s device broke")
    if failure is Failure.BAD_ANSWER:
        return refusal("bad_answer", f"{callee}'s device answered without a usable session description")
    return refusal("device_silent", f"{callee}'s device does not answer")


def _of_response(callee: str, response: Response) -> Outcome:
    status = response.status
    match status:
        case 486 | 600:
            return refusal("callee_busy", f"{callee} is busy")
        case 603 | 607 | 608:
            return Outcome(status, CATALOGUE["callee_declined"], f"{callee} declined the call")
        case 408 | 487:
            return refusal("callee_no_answer", f"{callee} did not answer")
        case 480:
            return refusal("callee_no_answer", f"{callee} is not available")
        case 430:
            return refusal("flow_lost", f"The connection to {callee}'s device broke")
        case 415 | 488 | 606:
            return Outcome(488, CATALOGUE["codec_mismatch"], f"{callee}'s device takes none of the codecs offered")
        case 404 | 604 | 410 | 484:
            return _theirs(status, callee)
        case 401 | 407:
            # A challenge would send the caller's password to a stranger.
            return Outcome(502, CATALOGUE["callee_refused"], f"{callee}'s device asks for a password nobody has")
        case 482 | 483:
            return Outcome(482, CATALOGUE["loop_detected"], "The call came round in a circle")
        case _ if status >= 500:
            return refusal("device_silent", f"{callee}'s device failed ({status} {phrase(status)})")
        case _ if status < 400:
            return refusal("forward_refused", f"{callee}'s device sends the call elsewhere, and does not say where to")
        case 403 | 402:
            return _theirs(status, callee)
    # The rest is about our own request to that device, not about the caller's.
    return Outcome(480, CATALOGUE["callee_refused"], f"{callee}'s device refused: {status} {phrase(status)}")


_CAUSES = {404: 1, 604: 1, 410: 22, 484: 28}
"""Q.850 causes of refusals that the table of 4.4 passes on as they are; the others have the row's."""


def _theirs(status: int, callee: str) -> Outcome:
    row = CATALOGUE["callee_refused"]
    row = replace(row, q850=_CAUSES.get(status, row.q850))
    return Outcome(status, row, f"{callee}'s device refused: {status} {phrase(status)}")


def stops_all(response: Response | None) -> bool:
    """A decline ends every branch (CALL-14); 600 and 606 are only that device's opinion."""
    return response is not None and response.status in (603, 604, 607, 608)


def best(outcomes: list[Outcome]) -> Outcome:
    """6xx, then 486, 480, 404, other 4xx, 5xx (CALL-15), by what the branches said, not by what the caller will hear."""

    def rank(outcome: Outcome) -> int:
        status = outcome.heard or outcome.status
        if status >= 600:
            return 0
        if status in (486, 480, 404):
            return (486, 480, 404).index(status) + 1
        return 4 if status < 500 else 5

    return min(outcomes, key=rank)
