"""Who is speaking: the registrar's and the dialogs' view of credentials and trusted flows.

Lives here: what of `credentials.Authenticator` the SIP layer itself needs. INVITE is judged by call control with the same
authenticator, so that a flow proven by either is trusted by both (AUTH-9).
"""

from offhook.sip.credentials import Authenticator, Challenged, Verdict, Verified
from offhook.sip.domains import parted
from offhook.sip.effects import Note
from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request
from offhook.sip.trust import Trust


class Doorkeeper:
    """Owned by the endpoint. A registrar challenges with 401, everybody else with 407 (AUTH-1)."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def key(self, purpose: str) -> bytes:
        """A key of its own for each purpose."""
        return self._authenticator.key(purpose)

    def username(self, request: Request, flow: Flow) -> str | None:
        """The endpoint that the request's credentials name, None without any for our realm."""
        return self._authenticator.claimed(request, flow, proxy=_proxy(request))

    def keep_away(self, flow: Flow, instance: str) -> None:
        """A blocked device speaks by this flow."""
        self._authenticator.keep_away(flow.id, instance)

    def trusted(self, flow: Flow, now: float) -> str | None:
        """The user name that the flow proved last."""
        return self._authenticator.trusted(flow.id, now)

    def trusts(self, flow: Flow, username: str, now: float) -> bool:
        """True when the flow has proved that endpoint."""
        return self._authenticator.trusts(flow.id, username, now)

    def speaker(self, request: Request, flow: Flow, now: float) -> str | None:
        """Who a request outside a dialog is from, as far as can be told before a look-up."""
        return self._authenticator.speaker(request, flow, now, proxy=_proxy(request))

    def registering(self, request: Request, flow: Flow, now: float) -> str | None:
        """Whom a REGISTER is to be proved for: its credentials' endpoint, or the one of its To that the flow has proved.

        Another account of the same phone comes down the same connection and must be challenged, not refused."""
        named = self._authenticator.named(request, "To")
        known = named if named is not None and self._authenticator.trusts(flow.id, named, now) else None
        if known is not None and _spells(request, known):
            return known
        claimed = self.username(request, flow)
        return claimed if claimed is not None else known

    def challenge(self, request: Request, flow: Flow, now: float) -> Headers:
        """The challenge fields for a first 401 or 407."""
        return self._authenticator.challenge(request, flow, now, proxy=_proxy(request))

    def judge(
        self, request: Request, account: Account | None, flow: Flow, now: float, in_dialog: bool = False
    ) -> Verdict:
        """Verified when the request comes from the account, which makes its flow trusted."""
        known = self._authenticator.proven(flow.id, account, now)
        if known is not None and (known.ends is None or self.username(request, flow) is None):
            return known
        verdict = self._authenticator.verify(request, flow, account, now, _proxy(request), in_dialog)
        if known is not None and isinstance(verdict, Challenged):
            # What was proved before stands; only a later end could have been gained.
            return known
        if not isinstance(verdict, Challenged):
            self._authenticator.trust(flow, verdict.account, now, verdict.ends, verdict.how)
        return verdict

    def proven(self, flow: Flow, account: Account | None, now: float) -> Verified | None:
        """What the flow has proved of the account and still stands."""
        return self._authenticator.proven(flow.id, account, now)

    def trust(self, flow: Flow, username: str, now: float) -> Trust | None:
        """The flow's proof of that endpoint."""
        return self._authenticator.trust_of(flow.id, username, now)

    def recalls(self, flow: Flow) -> bool:
        """True if a REGISTER on the flow may be a repeated one."""
        return self._authenticator.recalls(flow.id)

    def recalled(self, flow: Flow, digest: bytes, now: float) -> Trust | None:
        """The proof of the endpoint whose last REGISTER on the flow had this hash."""
        return self._authenticator.recalled(flow.id, digest, now)

    def prove(
        self, request: Request, account: Account | None, flow: Flow, now: float, in_dialog: bool = False
    ) -> Headers | None:
        """None when the request comes from the account; else the challenge to answer with."""
        verdict = self.judge(request, account, flow, now, in_dialog)
        return verdict.headers if isinstance(verdict, Challenged) else None

    def flow_lost(self, flow: FlowId) -> None:
        """Forgets the trust in a flow that is gone."""
        self._authenticator.forget_flow(flow)

    def take_notes(self) -> list[Note]:
        """What an operator should know of logins since the last time."""
        if not self._authenticator.notes:
            return []
        notes = list(self._authenticator.notes)
        self._authenticator.notes.clear()
        return notes


def _spells(request: Request, name: str) -> bool:
    """True when the only credentials plainly name this user: whoever is believed already need not have them taken apart."""
    values = request.headers.all("Authorization")
    return len(values) == 1 and values[0][:7].lower() == "digest " and f'username="{parted(name)[0]}"' in values[0]


def _proxy(request: Request) -> bool:
    return request.method != "REGISTER"
