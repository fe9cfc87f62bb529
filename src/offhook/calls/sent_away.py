"""A device that a command sends elsewhere: our own REFER in a leg's dialog, and what its NOTIFYs tell (RFC 3515).

Lives here: the REFER and how it goes on. Never here: REFERs that devices send (transfer.py).
"""

from dataclasses import dataclass

from offhook.calls import reports
from offhook.calls.addresses import uri_of
from offhook.calls.call import Call, Effects
from offhook.calls.commands import ReferLeg
from offhook.calls.document import StatusWish
from offhook.calls.effects import Sip
from offhook.calls.leg import Leg
from offhook.sip.commands import Respond, SendInDialog
from offhook.sip.events import RequestInDialog
from offhook.sip.location import ClientCredentials
from offhook.sip.message import Headers, Response


@dataclass(slots=True, eq=False)
class Referring:
    """One REFER of ours; `response` is its final status, `notified` the last that the device has told."""

    response: int = 0
    notified: int = 0
    over: bool = False


def send(call: Call, leg: Leg, command: ReferLeg, now: float) -> Effects:
    """REFER; what becomes of it is told as `calling.call.refer`."""
    uri = uri_of(command.to, call.at)
    if uri is None:
        return []
    reports.listen(call, leg, _only_refer(command.wish))
    leg.referring = Referring()
    by = uri_of(command.by, call.at) if command.by else None
    fields = Headers([("Refer-To", f"<{uri}>"), ("Referred-By", f"<{by or f'sip:{call.at}'}>")])
    mine = ClientCredentials(command.username, command.password) if command.username else None
    told = _say(call, leg, "inProgress", now)
    return [
        call.explain(f"the device is sent to {uri}", leg),
        Sip(SendInDialog(leg.usage, "REFER", fields, credentials=mine)),
        *told,
    ]


def _only_refer(wish: StatusWish | None) -> StatusWish | None:
    return StatusWish(wish.url, ("refer",), method=wish.method) if wish is not None else None


def answered(call: Call, leg: Leg, response: Response | None, now: float) -> Effects:
    """The device takes it up, or does not."""
    one = leg.referring
    if one is None or one.over:
        return []
    one.response = response.status if response is not None else 408
    if 200 <= one.response < 300:
        return []
    one.over = True
    return _say(call, leg, "error", now)


def notified(call: Call, leg: Leg, event: RequestInDialog, now: float) -> Effects:
    """How far the device has got; a NOTIFY that belongs to no REFER of ours is refused (RFC 6665 4.1.3)."""
    one = leg.referring
    if one is None or one.over or not (event.request.headers.get("Event") or "").lower().startswith("refer"):
        return [Sip(Respond(event.transaction, 481))]
    taken: Effects = [Sip(Respond(event.transaction, 200))]
    words = event.request.body.decode("ascii", "replace").split()
    if len(words) > 1 and words[0].startswith("SIP/") and words[1].isdigit():
        one.notified = int(words[1])
    ended = (event.request.headers.get("Subscription-State") or "").lower().startswith("terminated")
    if one.notified < 200 and not ended:
        return taken
    one.over = True
    return [*taken, *_say(call, leg, _state(one.notified), now)]


def _state(status: int) -> str:
    if 200 <= status < 300:
        return "success"
    if status in (486, 600, 603):
        return "busy"
    return "noAnswer" if status in (408, 480, 487) else "error"


def _say(call: Call, leg: Leg, state: str, now: float) -> Effects:
    one = leg.referring
    assert one is not None
    codes = {"response": str(one.response or ""), "notify": str(one.notified or "")}
    return reports.said(call, leg, "refer", now, state=state, **codes)
