"""Transfer: a REFER ends here, nobody else sees it (SIGNALLING.md section 6; RFC 3515, 3892, 4488, 5589).

Lives here: reading a REFER, ringing the target for the other party, telling the transferor, what happens when it fails.
Attended transfers, which join two calls, are consultation.py's.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from offhook.calls import adding, bridge, ending, seeking
from offhook.calls.call import NORMAL, Call, CallState, Effects
from offhook.calls.effects import Sip, StartTimer
from offhook.calls.fork import Fork
from offhook.calls.leg import Leg
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.ports import SourceKind
from offhook.sip.commands import AcceptSubscription, Notify, Respond
from offhook.sip.domains import aor_of, parted, uri_of_name
from offhook.sip.errors import PeerError
from offhook.sip.events import SubscriptionId
from offhook.sip.fields import sip_reason, warning
from offhook.sip.message import Headers, Request, Response
from offhook.sip.replaces import ReferTo, read_refer_to
from offhook.sip.response import phrase
from offhook.sip.uri import Uri

SIPFRAG = "message/sipfrag;version=2.0"
SILENT = Headers([("Refer-Sub", "false")])


@dataclass(frozen=True, slots=True)
class TransferorLeaves:
    """XFER-3: after its transfer has succeeded the transferor has this long for its own BYE."""

    call_ref: str
    leg_ref: str


@dataclass(slots=True, eq=False)
class Transfer:
    """One REFER under way; the waiter of the fork that it made. `subscription` None: nobody wants to hear of it."""

    transferor: Leg
    transferee: Leg
    subscription: SubscriptionId | None = None
    told: int = 100
    ringback: bool = False

    # ---- what the transferor hears

    def tell(self, status: int, last: bool = False) -> Effects:
        """One NOTIFY per change, with the full status line (XFER-1)."""
        if self.subscription is None or (status == self.told and not last):
            return []
        self.told = status
        state, reason = ("terminated", "noresource") if last else ("active", "")
        return [Sip(Notify(self.subscription, sipfrag(status), SIPFRAG, state, reason))]

    # ---- what comes of the fork

    def ringing(self, call: Call, fork: Fork, leg: Leg, response: Response, now: float) -> Effects:
        """The transferee hears ringback, or what the target's side sends before the answer."""
        told = self.tell(response.status)
        if response.body and fork.ear is None:
            early = bridge.complete_branch(leg, response)
            if early is not None:
                self.ringback, fork.ear, fork.ear_tag = True, leg, bridge.tag_of(response)
                return [*told, *early, *bridge.join(self.transferee, leg)]
        if self.ringback or response.status not in (180, 183):
            return told
        self.ringback = True
        return [*told, *bridge.play(self.transferee, SourceKind.RINGBACK)]

    def answered(self, call: Call, fork: Fork, leg: Leg, now: float) -> Effects:
        """The two others talk."""
        name = fork.callee.username if fork.callee is not None else ""
        seen = adding.align(call, self.transferee, leg)
        return [*bridge.join(self.transferee, leg), *seen, *self.succeeded(call, name)]

    def connected(self, call: Call, fork: Fork, now: float) -> Effects:
        """A built-in destination has the transferee."""
        assert fork.destination is not None
        call.destination, call.parked_by = fork.destination, self.transferor.account
        return [*bridge.feed(call, self.transferee, fork.destination), *self.succeeded(call, fork.destination.user)]

    def succeeded(self, call: Call, name: str) -> Effects:
        """NOTIFY 200; the transferor's leg waits a moment for its BYE."""
        told = [*self.tell(200, last=True), call.happened("call.transferred", self.transferee, to=name)]
        if self.transferor not in call.parties:
            return told
        call.parties.remove(self.transferor)
        call.leaving.append(self.transferor)
        wait = StartTimer(TransferorLeaves(call.ref, self.transferor.ref), call.config.transferor_leaves)
        return [*told, wait]

    def failed(self, call: Call, fork: Fork, outcome: Outcome, now: float) -> Effects:
        """XFER-6: the real status is told; the old call stands again, or its transferor is called back."""
        told = self.tell(outcome.status, last=True)
        if self.transferor in call.parties:
            return [*told, *bridge.join(self.transferee, self.transferor)]
        return [*told, *recall(call, self.transferor, self.transferee, now)]

    def forwarded(self, call: Call, fork: Fork) -> Effects:
        """See Waiter."""
        return self.tell(181)

    def abandoned(self, call: Call, fork: Fork) -> Effects:
        """The transferee has gone meanwhile."""
        return self.tell(487, last=True)


def sipfrag(status: int) -> bytes:
    """The status line as a message/sipfrag body (RFC 3420)."""
    return f"SIP/2.0 {status} {phrase(status)}\r\n".encode()


# ---- the REFER


def read(call: Call, leg: Leg, request: Request) -> ReferTo | Outcome:
    """What a REFER asks for, or why it is refused outright."""
    if leg.account is None and not leg.may_refer:
        return refusal("transfer_not_allowed", "A trunk may not transfer calls unless that is enabled")
    try:
        wanted = read_refer_to(request.headers)
    except PeerError as error:
        return Outcome(400, refusal("transfer_not_allowed").row, f"Refer-To: {error}")
    if wanted.method != "INVITE":
        return refusal("transfer_not_allowed", f"{wanted.method} cannot be asked for by REFER")
    if call.state is not CallState.TALKING or not leg.confirmed or leg not in call.parties:
        return refusal("transfer_not_allowed", "Only a call that talks can be transferred")
    if call.reopening:
        return Outcome(491, refusal("transfer_failed").row, "The call is getting new media; try again in a moment")
    if any(fork.transferor is not None for fork in call.forks):
        return Outcome(491, refusal("transfer_failed").row, "A transfer of this call is under way")
    if call.peer_of(leg) is None:
        return refusal("transfer_failed", "Nobody is there to be transferred")
    return wanted


def refuse(call: Call, transaction: Hashable, outcome: Outcome) -> Effects:
    """The final response to a REFER that is not taken up."""
    text = ("Warning", warning(call.config.domain, outcome.row.slug, outcome.text))
    return [Sip(Respond(transaction, outcome.status, Headers([text])))]


def take_up(call: Call, leg: Leg, transaction: Hashable, request: Request) -> tuple[Transfer, Effects]:
    """202, and NOTIFY 100 at once unless nothing is wanted (XFER-1, XFER-2)."""
    transferee = call.peer_of(leg)
    assert transferee is not None
    if _silent(request.headers):
        return Transfer(leg, transferee), [Sip(Respond(transaction, 202, SILENT))]
    subscription = SubscriptionId(call.ids.token())
    peer = leg.account.username if leg.account is not None else leg.ref
    return Transfer(leg, transferee, subscription), [
        Sip(AcceptSubscription(subscription, transaction, peer)),
        Sip(Notify(subscription, sipfrag(100), SIPFRAG)),
    ]


def _silent(headers: Headers) -> bool:
    """RFC 4488: no subscription is wanted, and the other side can do without."""
    wanted = (headers.get("Refer-Sub") or "true").partition(";")[0].strip().lower()
    supported = ",".join((*headers.all("Supported"), *headers.all("Require"))).lower()
    return wanted == "false" and "norefersub" in supported


def elsewhere(call: Call, wanted: ReferTo) -> bool:
    """True if the dialog to replace may be one of a trunk's (XFER-5): none of ours, and at its host."""
    named, out = wanted.replaces, call.index.outbound
    if named is None or out is None or call.index.named(named) is not None or call.index.dialogs.has_ended(named):
        return False
    return out.trunk_at(wanted.uri) is not None


def blind(call: Call, transfer: Transfer, wanted: ReferTo, refused: Outcome | None, now: float) -> Effects:
    """XFER-3: the target rings for the transferee, by the transferor's rights. `refused` tells that those do not suffice."""
    leg, transferee, target = transfer.transferor, transfer.transferee, wanted.uri
    one = Fork(call.ids.ref(), transferee, seeking.Seeker(transfer), leg.account, transferor=leg)
    if target.host in call.config.refer_hosts:
        # XFER-9: some clients write their vendor's host.
        home = parted(leg.account.username)[1] if leg.account is not None else call.domain
        target = replace(target, host=home or call.config.domain, port=None)
    wrong = refused or _unreachable(call, target)
    if wrong is not None:
        return transfer.failed(call, one, wrong, now)
    by = leg.account.username if leg.account is not None else ""
    one.extra = (("Referred-By", f"<{aor_of(by, call.config.domain)}>"),) if by else ()
    one.replaces = wanted.replaces
    seek = seeking.seek if one.replaces is None else seeking.seek_peer
    return [*bridge.play(transferee, SourceKind.MUSIC), *seek(call, one, target, now)]


def _unreachable(call: Call, target: Uri) -> Outcome | None:
    """Without a way out the host has to be one of ours."""
    if target.scheme == "tel" or target.host in call.config.hosts or call.index.outbound is not None:
        return None
    text = f"{target.host} is not served here; sip.refer_hosts lists the hosts that mean {call.config.domain}"
    return refusal("domain_unknown", text)


def under_way(one: Fork) -> Transfer | None:
    """The transfer that makes a fork ring, if one does."""
    waiter = one.waiter.inner if isinstance(one.waiter, seeking.Seeker) else None
    return waiter if isinstance(waiter, Transfer) else None


def stand_in(call: Call, place: Leg, leg: Leg) -> Effects | None:
    """LIVE-13: a party of a transfer under way whose page was loaded anew goes on as a new leg; what it hears. None if the
    call is not being transferred. What the transferor's old dialog was to be told goes on there."""
    for one in call.forks:
        transfer = under_way(one)
        if transfer is None:
            continue
        if transfer.transferor is place:
            transfer.transferor = one.transferor = leg
            return []
        if transfer.transferee is place:
            transfer.transferee = one.party = leg
            if one.ear is not None:
                return bridge.join(leg, one.ear)
            return bridge.play(leg, SourceKind.RINGBACK if transfer.ringback else SourceKind.MUSIC)
    return None


# ---- afterwards


def transferor_stayed(call: Call, leg: Leg) -> Effects:
    """It sent no BYE: it gets ours."""
    if leg not in call.leaving:
        return []
    return [*ending.dismiss(call, leg, "transferred", NORMAL), *ending.close_leg(leg)]


@dataclass(slots=True, eq=False)
class Recall:
    """Waiter of the fork that calls a transferor back who has left (XFER-6)."""

    party: Leg
    early: bool = False

    def ringing(self, call: Call, fork: Fork, leg: Leg, response: Response, now: float) -> Effects:
        """The party hears ringback already."""
        return []

    def answered(self, call: Call, fork: Fork, leg: Leg, now: float) -> Effects:
        """The old call, with a new leg."""
        return bridge.join(self.party, leg)

    def failed(self, call: Call, fork: Fork, outcome: Outcome, now: float) -> Effects:
        """Nobody is left to talk to."""
        return ending.end(call, "transfer_failed", "server", now, sip_reason(outcome.status, outcome.text))

    def connected(self, call: Call, fork: Fork, now: float) -> Effects:
        """See Waiter: an endpoint's name is never a built-in's."""
        return []

    def forwarded(self, call: Call, fork: Fork) -> Effects:
        """See Waiter: a recall follows no forwarding."""
        return []

    def abandoned(self, call: Call, fork: Fork) -> Effects:
        """See Waiter."""
        return []


def recall(call: Call, transferor: Leg, party: Leg, now: float) -> Effects:
    """Rings the devices of the transferor, who has left, for the party that nobody else took."""
    if transferor.account is None:
        text = "The transfer failed, and who asked for it has left"
        return ending.end(call, "transfer_failed", "server", now, sip_reason(480, text))
    one = Fork(call.ids.ref(), party, Recall(party), transferor.account, ring_seconds=call.config.recall_seconds)
    one.follows = False
    target = uri_of_name(transferor.account.username, call.config.domain)
    return [*bridge.play(party, SourceKind.RINGBACK), *seeking.seek(call, one, target, now)]
