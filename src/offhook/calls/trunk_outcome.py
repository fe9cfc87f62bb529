"""What a carrier's refusal means for the caller (the trunk rows of SIGNALLING.md 4.4), and whether another is tried."""

from dataclasses import replace

from offhook.calls.catalogue import CATALOGUE
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.trunk import Trunk
from offhook.sip.events import Failure
from offhook.sip.message import Response

NEVER = frozenset({486, 600, 603})
"""Busy and declined are the callee's own answer, by whatever way they come."""


def of_carrier(trunk: Trunk, number: str, response: Response | None, failure: Failure | None) -> Outcome:
    """One try's end in words. A 503 of another is never passed on (RFC 3261 section 16.7)."""
    if response is not None:
        return replace(_of_response(trunk, number, response), heard=response.status)
    if failure is Failure.BAD_ANSWER:
        return refusal("bad_answer", f"{trunk.name} answered without a usable session description")
    if failure is Failure.FLOW_FAILED:
        return refusal("trunk_unreachable", f"The connection to {trunk.name} broke")
    return refusal("trunk_timeout", f"{trunk.name} did not answer in time")


def _of_response(trunk: Trunk, number: str, response: Response) -> Outcome:
    status = response.status
    said = f"{trunk.name} refused {number}: {status} {response.reason}"
    match status:
        case 404 | 604 | 410 | 484:
            cause = {404: 1, 604: 1, 410: 22, 484: 28}[status]
            return Outcome(status, replace(CATALOGUE["number_unallocated"], q850=cause), said)
        case 486 | 600:
            return refusal("callee_busy", f"{number} is busy")
        case 480 | 487:
            return refusal("callee_no_answer", f"{number} is not available ({status} {response.reason})")
        case 401 | 407:
            # The caller hears that we cannot prove ourselves, and nothing of the account.
            return refusal("trunk_auth_failed", f"{trunk.name} does not take our credentials")
        case 415 | 488 | 606:
            return Outcome(488, CATALOGUE["codec_mismatch"], f"{trunk.name} takes none of {', '.join(trunk.codecs)}")
        case 482 | 483:
            return Outcome(482, CATALOGUE["loop_detected"], f"{trunk.name} saw the call come round in a circle")
        case 603 | 607 | 608:
            return Outcome(status, CATALOGUE["callee_declined"], f"{number} declined the call")
        case _ if status < 400:
            return Outcome(
                480, CATALOGUE["forward_refused"], f"{trunk.name} asks to call elsewhere, which is not followed"
            )
        case 408:
            return Outcome(502, CATALOGUE["trunk_timeout"], said)
        case _ if status >= 500:
            return Outcome(502, CATALOGUE["trunk_rejected"], said)
        case _:
            return Outcome(status, CATALOGUE["trunk_rejected"], said)


def goes_on(trunk: Trunk, response: Response | None, failure: Failure | None, rang: bool) -> bool:
    """TRK-5: whether the next target may be tried. After any 18x only 503 says so."""
    if response is None:
        return failure is not Failure.BAD_ANSWER and not rang
    if response.status in NEVER:
        return False
    return response.status == 503 if rang else response.status in trunk.failover.statuses


def all_failed(number: str, failures: list[tuple[str, Outcome]]) -> Outcome:
    """What the caller hears when nothing is left to try: the one failure, or each of several by its trunk."""
    if len(failures) == 1:
        return failures[0][1]
    text = "; ".join(f"{name}: {outcome.row.slug}" for name, outcome in failures[:5])
    return refusal("trunks_exhausted", f"{number}: {text}")
