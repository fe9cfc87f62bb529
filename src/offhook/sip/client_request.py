"""A request of ours outside any dialog (RFC 3261 section 8.1): sent once, settled once, kept nowhere else."""

from dataclasses import dataclass

from offhook.sip.commands import SendRequest
from offhook.sip.core import Core, Outline
from offhook.sip.effects import Deliver
from offhook.sip.events import Failure, RequestSettled
from offhook.sip.flow import Flow
from offhook.sip.message import Response
from offhook.sip.transaction.machine import Effect


@dataclass(slots=True)
class ClientRequest:
    """Transaction user of one `SendRequest`."""

    core: Core
    command: SendRequest
    flow: Flow

    def start(self) -> list[Effect]:
        """Sends it with a tag of its own."""
        command, core = self.command, self.core
        contact = core.contact(self.flow, command.contact_user) if command.contact_user else ""
        outline = Outline(
            command.method,
            command.request_uri,
            f"{command.from_};tag={core.ids.token()}",
            command.to,
            command.call_id or core.ids.token(),
            command.cseq,
            command.routes,
            contact,
            command.max_forwards,
            command.headers,
            command.body,
        )
        return core.send(outline, self.flow, self)[1]

    def answered(self, response: Response) -> list[Effect]:
        """See machine.Owner."""
        return [] if response.status < 200 else [Deliver(RequestSettled(self.command.token, response))]

    def failed(self, failure: Failure) -> list[Effect]:
        """See machine.Owner."""
        return [Deliver(RequestSettled(self.command.token, None, failure))]
