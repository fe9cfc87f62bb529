"""Tokens that come with the upgrade of a WebSocket (AUTH-10): the flow is trusted before its first message."""

from dataclasses import dataclass

from offhook.server.observe import log
from offhook.server.ports import Directory
from offhook.sip.credentials import BEARER, Authenticator
from offhook.sip.flow import Flow
from offhook.sip.tokens import SKEW, Fault, fits


@dataclass(frozen=True, slots=True)
class TokenGate:
    """Implements server.ports.Gate."""

    authenticator: Authenticator
    directory: Directory
    epoch: float
    """Unix time at which the core's clock showed 0."""

    def admit(self, token: str, flow: Flow, now: float) -> str | None:
        """See Gate."""
        if not (flow.secure or flow.loopback):
            return "tls-required A token is taken over WSS only"
        judged = self.authenticator.presented(token, flow, now)
        if isinstance(judged, Fault):
            log.info("token refused", slug=judged.slug, source=flow.remote[0])
            return f"{judged.slug} {judged.text}"
        account = self.directory.account(judged.subject)
        if account is None or account.username != judged.subject:
            return f"credentials-wrong No endpoint of this server is called {judged.subject[:64]}"
        wrong = fits(judged, account)
        if wrong is not None:
            return f"{wrong.slug} {wrong.text}"
        if not account.enabled:
            return f"endpoint-disabled {account.username} is switched off"
        self.authenticator.trust(flow, account, now, judged.expires_at + SKEW - self.epoch, BEARER)
        return None
