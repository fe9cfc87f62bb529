"""Who is speaking: the registrar's and the dialogs' view of credentials and trusted flows.

Lives here: what of `credentials.Authenticator` the SIP layer itself needs. INVITE is judged by call control with the same
authenticator, so that a flow proven by either is trusted by both (AUTH-9).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offhook.sip.credentials import Authenticator
from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request


class Doorkeeper:
    """Owned by the endpoint."""

    def __init__(self, authenticator: "Authenticator") -> None:
        self._authenticator = authenticator

    def username(self, request: Request) -> str | None:
        """The digest user name of the request's credentials, None without any."""
        return self._authenticator.username(request)

    def trusted(self, flow: Flow, now: float) -> str | None:
        """The user name for which the flow is trusted (AUTH-9)."""
        return self._authenticator.trusted(flow, now)

    def challenge(self, request: Request, flow: Flow, now: float) -> Headers:
        """The challenge fields for a first answer of 401 or 407."""
        return Headers(self._authenticator.challenge(request, flow, now))

    def prove(self, request: Request, account: Account | None, flow: Flow, now: float) -> Headers | None:
        """None when the request is proven to come from the account; else the challenge to answer with (AUTH-7)."""
        return self._authenticator.prove(request, account, flow, now)

    def flow_lost(self, flow: FlowId) -> None:
        """Forgets the trust in a flow that is gone."""
        self._authenticator.flow_lost(flow)
