"""Requests of ours inside a dialog, as users of their client transactions.

Lives here: what becomes of each response, challenges, the ACK to a 2xx. Never here: when they are sent (invite_usage.py).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offhook.sip.client_auth import Attempt, ClientAuth
from offhook.sip.core import Core
from offhook.sip.dialog import Dialog
from offhook.sip.effects import Send
from offhook.sip.events import Failure
from offhook.sip.flow import FlowId
from offhook.sip.message import Headers, Request, Response
from offhook.sip.response import NO_FIELDS
from offhook.sip.session_timer import Fields
from offhook.sip.transaction.key import ClientKey
from offhook.sip.transaction.machine import Effect
from offhook.sip.usage_state import reason_field

if TYPE_CHECKING:
    from offhook.sip.invite_usage import InviteUsage


@dataclass(slots=True)
class SentInDialog:
    """Transaction user of a request of ours inside the dialog. It acknowledges a re-INVITE's 2xx even after the end.

    `terms` are the fields of the session timer, those that stand when None. `told`: call control asked for the request and
    hears of the answer. `auth` proves this one request where it is not the dialog's own that does.
    """

    usage: "InviteUsage"
    dialog: Dialog
    method: str
    offers: bool
    headers: Headers = NO_FIELDS
    body: bytes = b""
    terms: Fields | None = None
    told: bool = True
    auth: ClientAuth | None = None
    attempt: Attempt = field(init=False)
    key: ClientKey | None = None
    flow: FlowId = FlowId("")
    cseq: int = 0
    ack: Request | None = None

    def __post_init__(self) -> None:
        self.attempt = Attempt(self.auth or self.dialog.auth)

    def answered(self, response: Response) -> list[Effect]:
        """See machine.Owner."""
        if response.status < 200:
            return []
        self.usage.heard(response)
        accepted = response.status < 300
        if accepted and self.ack is not None:
            return [Send(self.dialog.flow.id, self.ack)]
        if not self.usage.over and self.attempt.challenged(response):
            return self.usage.send_again(self)
        effects: list[Effect] = []
        if accepted and self.method in ("INVITE", "UPDATE"):
            self.dialog.refresh_target(response)
        if accepted and self.method == "INVITE":
            client = None if self.key is None else self.usage.core.table.client(self.key)
            self.ack = self.dialog.ack(self.usage.core, self.cseq, None if client is None else client.request)
            effects.append(Send(self.dialog.flow.id, self.ack))
            if self.key is not None:
                self.usage.sent_ack(self.key, self.ack)
        return [*effects, *self.usage.settled(self, response, None)]

    def failed(self, failure: Failure) -> list[Effect]:
        """See machine.Owner."""
        return self.usage.settled(self, None, failure)


@dataclass(slots=True)
class SentBye:
    """Transaction user of a BYE of ours; any end of it will do (15.1.1)."""

    usage: "InviteUsage | None"
    core: Core
    dialog: Dialog
    reason: str | None
    attempt: Attempt = field(init=False)
    flow: FlowId = FlowId("")

    def __post_init__(self) -> None:
        self.attempt = Attempt(self.dialog.auth)

    def start(self) -> list[Effect]:
        """Sends it."""
        self.flow = self.dialog.flow.id
        return self.dialog.send(self.core, "BYE", self, reason_field(self.reason))[2]

    def answered(self, response: Response) -> list[Effect]:
        """See machine.Owner."""
        if self.attempt.challenged(response):
            return self.start()
        return [] if response.status < 200 or self.usage is None else self.usage.bye_settled()

    def failed(self, failure: Failure) -> list[Effect]:
        """See machine.Owner."""
        return [] if self.usage is None else self.usage.bye_failed(self.reason, self.flow, failure)
