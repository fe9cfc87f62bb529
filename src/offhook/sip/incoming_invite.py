"""The INVITE of a peer: UAS side of RFC 3261 sections 9.2, 13.3 and 15.1.2, until a 2xx makes it any other usage."""

from collections.abc import Hashable

from offhook.sip.core import Core
from offhook.sip.dialog import Dialog, dialog_of_request
from offhook.sip.effects import Deliver, Note
from offhook.sip.envelope import Envelope
from offhook.sip.events import InviteCanceled, InviteReceived, UsageId
from offhook.sip.flow import Flow
from offhook.sip.invite_usage import InviteUsage, Phase, reason_field
from offhook.sip.message import Headers, Request
from offhook.sip.response import NO_FIELDS
from offhook.sip.transaction.machine import Effect


class IncomingInvite(InviteUsage):
    """One To tag serves every answer (CALL-1): a client sees one dialog however many devices ring behind us."""

    def __init__(
        self, core: Core, key: Hashable, request: Request, envelope: Envelope, flow: Flow, peer: str | None
    ) -> None:
        super().__init__(core, UsageId(core.ids.token()), flow, peer)
        self.key = key
        self.request = request
        self.dialog: Dialog = dialog_of_request(request, envelope, core.ids.token(), core.ids.token(), flow)
        self._theirs[key] = request
        self._register(self.dialog.key)

    def start(self) -> list[Effect]:
        """Tells call control."""
        self.core.attach(self)
        return [Deliver(InviteReceived(self.id, self.request, self.flow))]

    def respond_invite(self, status: int, headers: Headers, body: bytes) -> list[Effect]:
        """Call control's 1xx, 2xx or refusal."""
        if self.phase not in (Phase.PREPARATIVE, Phase.EARLY):
            return [Note("late-answer", {"usage": self.id, "status": str(status)})]
        if status <= 100:
            return []
        if status < 200:
            # CALL-1: with tag and Contact, because clients ignore an 18x that makes no early dialog.
            self.phase = Phase.EARLY
            return self.core.answer(self.key, status, self._dialog_fields(headers), body, self.dialog.key.local_tag)
        del self._theirs[self.key]
        if status < 300:
            self.phase = Phase.MORATORIUM
            fields = self._dialog_fields(headers)
            return self.accept(self.key, self.request, status, fields, body, self.dialog.key.local_tag)
        return [*self._refuse(status, headers, body), *self.end()]

    def hang_up(self, reason: str | None) -> list[Effect]:
        """15: a callee may not send BYE in the early dialog; it refuses the INVITE."""
        if self.phase in (Phase.PREPARATIVE, Phase.EARLY):
            return self.respond_invite(480, reason_field(reason), b"")
        return super().hang_up(reason)

    def _bye_received(self, key: Hashable, request: Request) -> list[Effect]:
        if self.phase in (Phase.MORATORIUM, Phase.ESTABLISHED):
            return super()._bye_received(key, request)
        # CALL-13: BYE in the early dialog is CANCEL by another name.
        return [*self.core.answer(key, 200), *self._give_up(request.headers.get("Reason"))]

    def cancelled(self, key: Hashable, reason: str | None) -> list[Effect]:
        """9.2: 487 while no final response is out; later CANCEL has no effect, and the call stands until BYE (CALL-12)."""
        if key != self.key:
            return super().cancelled(key, reason)
        return [] if self.key not in self._theirs else self._give_up(reason)

    def _give_up(self, reason: str | None) -> list[Effect]:
        del self._theirs[self.key]
        return [*self._refuse(487, NO_FIELDS, b""), Deliver(InviteCanceled(self.id, reason)), *self.end()]

    def _refuse(self, status: int, headers: Headers, body: bytes) -> list[Effect]:
        return self.core.answer(self.key, status, headers, body, self.dialog.key.local_tag)

    def _dialog_fields(self, headers: Headers) -> Headers:
        # 12.1.1: Record-Route is copied, our Contact is the remote target of the peer.
        routes = [("Record-Route", value) for value in self.request.headers.all("Record-Route")]
        return Headers([*routes, ("Contact", self._contact()), *self.core.abilities(), *headers])
