"""Who is calling, and may they? INVITE is judged here with the authenticator that the registrar uses too."""

from collections.abc import Set as AbstractSet

from offhook.calls.outcome import Outcome, refusal
from offhook.sip.credentials import Authenticator, Challenged
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr
from offhook.sip.flow import Flow
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request
from offhook.sip.rate import ENDPOINTS, Rates
from offhook.sip.tokens import MEMBER

ANONYMOUS = ("anonymous.invalid", "anonymous")
"""Host and user of a caller who withholds his name (RFC 3323 section 4.1.1.3)."""
BURST = 2.0
"""Calls that may come at once, as a multiple of the rate."""


class Admission:
    """Owned by the switchboard."""

    def __init__(self, authenticator: Authenticator, hosts: AbstractSet[str], call_rate: float) -> None:
        self._authenticator = authenticator
        self._hosts = hosts
        self._rates = Rates(call_rate, BURST * call_rate, ENDPOINTS)

    def claimed(self, request: Request, flow: Flow, now: float) -> str | None:
        """The user name that the flow has proved or the credentials name; None: challenge at once."""
        return self._authenticator.speaker(request, flow, now, proxy=True)

    def claims_to_be_ours(self, request: Request) -> bool:
        """True if From is of a host of ours; it says only whether a challenge is worth sending."""
        try:
            return parse_name_addr(request.headers.get("From") or "").uri.host in self._hosts
        except PeerError:
            return False

    def challenge(self, request: Request, flow: Flow, now: float) -> Headers:
        """The fields of a first 407."""
        return self._authenticator.challenge(request, flow, now, proxy=True)

    def prove(self, request: Request, flow: Flow, account: Account | None, now: float) -> Headers | None:
        """None when the request comes from the account; else the fields of the 407."""
        asked_always = account is not None and account.challenge_every_invite and request.method == "INVITE"
        if not asked_always and self._authenticator.still_trusts(flow.id, account, now):
            return None
        verdict = self._authenticator.verify(request, flow, account, now, proxy=True)
        if isinstance(verdict, Challenged):
            return verdict.headers
        self._authenticator.trust(flow, verdict.account, now, verdict.ends, verdict.how)
        return None

    def refuse(
        self, request: Request, flow: Flow, account: Account, calls: int, now: float, emergency: bool = False
    ) -> Outcome | None:
        """A proven caller's call against the rules; None lets it through. `calls` are those the endpoint has now. No number
        of calls, and no rate of them, stops a call for help (TRK-9)."""
        wrong = self.refuse_sender(request, flow, account)
        if wrong is not None or emergency:
            return wrong
        if calls >= account.max_calls:
            return refusal("endpoint_at_call_limit", f"{account.username} has {calls} calls, as many as it may")
        return self.too_fast(account, now)

    def refuse_sender(self, request: Request, flow: Flow, account: Account) -> Outcome | None:
        """What holds for every request of an endpoint."""
        if not account.enabled:
            return refusal("endpoint_disabled", f"{account.username} is switched off")
        if account.blocked_devices and self._blocked(request, flow, account):
            return refusal("device_blocked", f"This device of {account.username} is blocked")
        if account.tier != MEMBER and request.method != "INVITE":
            text = f"A token of the tier {account.tier} may not send {request.method}"
            return refusal("token_tier_not_allowed", text)
        if not self._own_from(request, account):
            return refusal("from_not_yours", f"From must be sip:{account.username} or anonymous")
        if account.encryption == "required" and not (flow.secure or flow.loopback):
            return refusal("tls_required", f"{account.username} may call over TLS or WSS only")
        return None

    def _blocked(self, request: Request, flow: Flow, account: Account) -> bool:
        """By what its Contact says of the device (RFC 5626, RFC 5627), else by the flow that it was refused on."""
        contact = request.headers.get("Contact")
        try:
            said = parse_name_addr(contact) if contact else None
        except PeerError:
            said = None
        named = (said.params.get("+sip.instance"), said.uri.params.get("gr")) if said is not None else ()
        return any(account.blocks(one) for one in named if one) or self._authenticator.blocked(flow.id, account)

    def too_fast(self, account: Account, now: float) -> Outcome | None:
        """One more call of an endpoint against its rate."""
        return None if self._rates.allow(account.id, now) else refusal("calls_per_second_exceeded")

    def _own_from(self, request: Request, account: Account) -> bool:
        uri = parse_name_addr(request.headers.get("From") or "").uri
        if uri.host == ANONYMOUS[0] or uri.unescaped_user.casefold() == ANONYMOUS[1]:
            return True
        return (
            self._authenticator.domains.name(uri).casefold() == account.username.casefold() and uri.host in self._hosts
        )
