"""Calls of strangers to an application or a SIP address of ours (API.md 6.2, 6.3): who is let in, and as whom.

Lives here: the judgement and the caller's leg. Never here: which URI names which application (applications.py), its handler
(handling.py).
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from offhook.calls import bridge, caller_id, ending, passing
from offhook.calls.applications import Application, Applications
from offhook.calls.call import Call, Effects
from offhook.calls.effects import Happened, LookUp, Publish
from offhook.calls.encryption import Security
from offhook.calls.inbound import is_endpoints
from offhook.calls.outcome import Outcome
from offhook.sip.credentials import Authenticator, Challenged
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr, quote
from offhook.sip.flow import Flow
from offhook.sip.message import Request
from offhook.sip.uri import Uri

NAMELESS = Uri("sip", "anonymous", "anonymous.invalid")


class Unproven:
    """A digest is demanded, and the request has none or a wrong one."""


UNPROVEN = Unproven()


@dataclass(slots=True)
class Visitors:
    """Owned by the gateway. `hosts` are ours."""

    hosts: AbstractSet[str]
    authenticator: Authenticator
    applications: Applications = field(default_factory=Applications)

    def expects(self, request: Request, flow: Flow) -> bool:
        """True for a caller whose address an application lists; one that lets anybody in leaves them strangers, with the
        rate of such."""
        found = self._named(request)
        return found is not None and found.networks is not None and found.refuses(flow) is None

    def concerns(self, request: Request) -> bool:
        """True for a call to an application, whoever calls."""
        return self._named(request) is not None

    def judge(
        self, request: Request, flow: Flow, username: str | None, now: float
    ) -> Application | Outcome | Unproven | None:
        """The application that a stranger calls, why he may not, or None where no stranger calls or none is called.
        `username` is what the request's credentials claim."""
        found = self._named(request)
        if found is None or is_endpoints(request, self.hosts):
            return None
        if found.account is None:
            return None if username is not None else found.refuses(flow) or found
        if username is not None and username != found.account.username:
            return None
        refused = found.refuses(flow)
        if refused is not None:
            return refused
        proof = (
            self.authenticator.verify(request, flow, found.account, now, proxy=True) if username is not None else None
        )
        return UNPROVEN if proof is None or isinstance(proof, Challenged) else found

    def _named(self, request: Request) -> Application | None:
        return self.applications.named(request) if request.uri.host in self.hosts else None

    def arrive(self, call: Call, found: Application, now: float) -> Effects:
        """The caller's leg: his own From, of which nothing is believed, and the application's codecs and encryption."""
        leg, sender = call.caller, _sender(call.request)
        leg.trunk = found.as_trunk(sender or NAMELESS)
        leg.security = Security(found.encryption, found.ciphers)
        hidden = sender is None or caller_id.withheld(call.request.headers)
        leg.identity = passing.ANONYMOUS if hidden or sender is None else _shown(call.request, sender)
        leg.shown = "anonymous" if hidden or sender is None else str(sender.user or sender.host)
        wrong = passing.privacy_refusal(call.request.headers) or bridge.read_offer(leg)
        if wrong is not None:
            return ending.refuse(call, wrong, now)
        return [call.happened("call.created"), LookUp(call.ref, None, None, application=found.id)]


def refused(request: Request, flow: Flow, outcome: Outcome) -> Publish:
    """The event of a stranger who was not let in; there is no call yet."""
    details = (
        ("code", outcome.row.code),
        ("text", outcome.text),
        ("to", request.uri.unescaped_user),
        ("source", flow.remote[0]),
    )
    return Publish(Happened("security.source_refused", "", "", details))


def _sender(request: Request) -> Uri | None:
    try:
        uri = parse_name_addr(request.headers.get("From") or "").uri
    except PeerError:
        return None
    return Uri("sip", uri.user, uri.host, uri.port) if uri.scheme in ("sip", "sips") and uri.host else None


def _shown(request: Request, sender: Uri) -> str:
    name = parse_name_addr(request.headers.get("From") or "").display
    return f"{quote(name) + ' ' if name else ''}<{sender}>"
