"""A request of ours outside any dialog (RFC 3261 section 8.1): sent, perhaps once more with credentials, settled once."""

from dataclasses import dataclass, field

from offhook.sip.client_auth import Attempt, ClientAuth
from offhook.sip.commands import SendRequest
from offhook.sip.core import Core, Outline
from offhook.sip.effects import Deliver
from offhook.sip.events import Failure, RequestSettled
from offhook.sip.flow import Flow
from offhook.sip.message import Headers, Response
from offhook.sip.transaction.machine import Effect


@dataclass(slots=True)
class ClientRequest:
    """Transaction user of one `SendRequest`."""

    core: Core
    command: SendRequest
    flow: Flow
    call_id: str = field(init=False)
    tag: str = field(init=False)
    cseq: int = field(init=False)
    auth: ClientAuth | None = field(init=False)
    attempt: Attempt = field(init=False)

    def __post_init__(self) -> None:
        command, core = self.command, self.core
        self.call_id, self.cseq = command.call_id or core.ids.token(), command.cseq
        self.tag = core.ids.token()
        self.auth = None
        if command.credentials is not None:
            # Only requests that share a Call-ID can know the challenge of the one before.
            once = not command.call_id
            self.auth = (
                ClientAuth(command.credentials, core.ids) if once else core.auth_of(self.call_id, command.credentials)
            )
        self.attempt = Attempt(self.auth)

    def start(self) -> list[Effect]:
        """Sends it with a tag of its own."""
        command, core = self.command, self.core
        asked = [] if self.auth is None else self.auth.fields(command.method, command.request_uri, command.body)
        outline = Outline(
            command.method,
            command.request_uri,
            f"{command.from_};tag={self.tag}",
            command.to,
            self.call_id,
            self.cseq,
            command.routes,
            core.contact(self.flow, command.contact_user) if command.contact_user else "",
            command.max_forwards,
            Headers([*command.headers, *asked]),
            command.body,
        )
        return core.send(outline, self.flow, self)[1]

    def answered(self, response: Response) -> list[Effect]:
        """See machine.Owner."""
        if response.status < 200:
            return []
        if self.attempt.challenged(response):
            # 22.2: the same Call-ID and tag, the next CSeq number.
            self.cseq += 1
            return self.start()
        return [Deliver(RequestSettled(self.command.token, response, None, self.cseq))]

    def failed(self, failure: Failure) -> list[Effect]:
        """See machine.Owner."""
        return [Deliver(RequestSettled(self.command.token, None, failure, self.cseq))]
