"""Who is speaking: the registrar's and the dialogs' view of credentials and trusted flows.

Lives here: what of `credentials.Authenticator` the SIP layer itself needs. INVITE is judged by call control with the same
authenticator, so that a flow proven by either is trusted by both (AUTH-9).
"""

from offhook.sip.credentials import Authenticator, Challenged
from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request


class Doorkeeper:
    """Owned by the endpoint. A registrar challenges with 401, everybody else with 407 (AUTH-1)."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def username(self, request: Request) -> str | None:
        """The digest user name of the request's credentials, None without any for our realm."""
        return self._authenticator.username(request, proxy=_proxy(request))

    def trusted(self, flow: Flow, now: float) -> str | None:
        """The user name for which the flow is trusted."""
        return self._authenticator.trusted(flow.id, now)

    def challenge(self, request: Request, flow: Flow, now: float) -> Headers:
        """The challenge fields for a first 401 or 407."""
        return self._authenticator.challenge(flow, now, proxy=_proxy(request))

    def prove(self, request: Request, account: Account | None, flow: Flow, now: float) -> Headers | None:
        """None when the request comes from the account, which makes its flow trusted; else the challenge to answer with."""
        if self._authenticator.still_trusts(flow.id, account, now):
            return None
        verdict = self._authenticator.verify(request, flow, account, now, proxy=_proxy(request))
        if isinstance(verdict, Challenged):
            return verdict.headers
        self._authenticator.trust(flow, verdict.account, now)
        return None

    def flow_lost(self, flow: FlowId) -> None:
        """Forgets the trust in a flow that is gone."""
        self._authenticator.forget_flow(flow)


def _proxy(request: Request) -> bool:
    return request.method != "REGISTER"
