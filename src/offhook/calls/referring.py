"""REFER as it comes: inside a call's dialog or outside of any, and whether it may (XFER-1, XFER-2, XFER-3).

Lives here: finding the call, proof of identity, the transferor's rights. Never here: the transfer (transfer.py,
consultation.py).
"""

from offhook.calls import consultation, transfer
from offhook.calls.admission import Admission
from offhook.calls.call import Call, Effects
from offhook.calls.effects import Sip
from offhook.calls.index import Index
from offhook.calls.leg import Leg
from offhook.calls.outcome import Outcome, refusal
from offhook.sip.commands import Respond
from offhook.sip.errors import PeerError
from offhook.sip.events import RequestInDialog, RequestReceived
from offhook.sip.replaces import read_target_dialog


class Referrals:
    """Owned by the switchboard."""

    def __init__(self, domain: str, admission: Admission, index: Index) -> None:
        self._domain = domain
        self._admission = admission
        self._index = index

    def outside(self, event: RequestReceived, now: float) -> Effects:
        """XFER-2: only one that names a dialog of the endpoint it comes from, by a flow or credentials that prove it."""
        try:
            named = read_target_dialog(event.request.headers)
        except PeerError as error:
            return self._refuse(event, Outcome(400, refusal("transfer_not_allowed").row, str(error)))
        username = self._admission.claimed(event.request, event.flow, now)
        if username is None:
            return [Sip(Respond(event.transaction, 407, self._admission.challenge(event.request, event.flow, now)))]
        found = self._index.named(named) if named is not None else None
        account = found[1].account if found is not None else None
        if found is None or account is None or account.username.casefold() != username.casefold():
            text = "REFER outside a dialog needs a Target-Dialog of the same endpoint"
            return self._refuse(event, refusal("transfer_not_allowed", text))
        challenge = self._admission.prove(event.request, event.flow, account, now)
        if challenge is not None:
            return [Sip(Respond(event.transaction, 407, challenge))]
        return self.inside(*found, event, now)

    def inside(self, call: Call, leg: Leg, event: RequestInDialog | RequestReceived, now: float) -> Effects:
        """The rights are those that the transferor would have for a call (XFER-3)."""
        wanted = transfer.read(call, leg, event.request)
        if isinstance(wanted, Outcome):
            return transfer.refuse(call, event.transaction, wanted)
        under_way, accepted = transfer.take_up(call, leg, event.transaction, event.request)
        if wanted.replaces is not None and not transfer.elsewhere(call, wanted):
            return [*accepted, *consultation.attended(call, under_way, wanted.replaces, now)]
        refused = self._admission.too_fast(leg.account, now) if leg.account is not None else None
        return [*accepted, *transfer.blind(call, under_way, wanted, refused, now)]

    def _refuse(self, event: RequestReceived, outcome: Outcome) -> Effects:
        return [Sip(Respond(event.transaction, outcome.status, outcome.headers(self._domain)))]
