"""Our INVITE: UAC side of RFC 3261 sections 9.1 and 13.2, with every fork of it (CALL-4)."""

from dataclasses import dataclass, field

from offhook.sip.client_auth import Attempt, ClientAuth, credentials_of
from offhook.sip.commands import SendInvite
from offhook.sip.core import Core, Outline
from offhook.sip.dialog import Dialog, dialog_of_response
from offhook.sip.effects import Deliver, Send
from offhook.sip.envelope import Envelope, envelope
from offhook.sip.events import Failure, InviteAccepted, InviteProgressed, InviteRejected, InviteTrying
from offhook.sip.flow import Flow, FlowId
from offhook.sip.invite_usage import InviteUsage
from offhook.sip.message import Headers, Request, Response
from offhook.sip.reliable import COPIES, Heard, rseq_of
from offhook.sip.response import response_to
from offhook.sip.sent import SentBye
from offhook.sip.timers import Timer
from offhook.sip.transaction.key import ClientKey
from offhook.sip.transaction.machine import Effect
from offhook.sip.usage_state import ELSEWHERE, Phase, reason_field

FORKS = 60
"""Dialogs that the answers to one INVITE may begin: as many as RFC 5393 lets a request have branches. What a peer that
makes up further tags says in them is dropped."""


class OutgoingInvite(InviteUsage):
    """One INVITE down one flow. Its 1xx may come from several forks behind the peer; the first 2xx wins."""

    def __init__(self, core: Core, command: SendInvite, flow: Flow, peer: str | None) -> None:
        super().__init__(core, command.usage, flow, peer)
        self.carrier = command.carrier
        self.session.timer.mode = command.session_timer
        self.contact_user = command.contact_user or core.ids.token()
        self.local_tag = core.ids.token()
        self.call_id = core.ids.token()
        self.cseq = 1
        self.key = ClientKey(core.branch(), "INVITE")
        self._auth = None if command.credentials is None else ClientAuth(command.credentials, core.ids)
        self._attempt = Attempt(self._auth)
        self._command = command
        self.request = self._written([])
        self._early: dict[str, Dialog] = {}
        self._heard: dict[str, Heard] = {}
        self._acks: dict[str, tuple[FlowId, Request]] = {}
        self._forks: set[str] = set()
        self._cancel_wanted = False
        self._cancel_sent = False
        self._cancel_reason: str | None = None

    def start(self) -> list[Effect]:
        """Sends it."""
        self.core.attach(self)
        return self._open()

    def _written(self, extra: list[tuple[str, str]]) -> Request:
        command = self._command
        outline = Outline(
            "INVITE",
            command.request_uri,
            f"{command.from_};tag={self.local_tag}",
            command.to,
            self.call_id,
            self.cseq,
            command.routes,
            contact=self.core.contact(self.flow, self.contact_user),
            max_forwards=command.max_forwards,
            headers=Headers([*self.session.timer.ask(), *command.headers, *extra]),
            body=command.body,
        )
        return self.core.request(outline, self.flow, self.key.branch)

    def _open(self) -> list[Effect]:
        self._ours[self.key] = None
        return self.core.table.open_client(self.key, self.request, self.flow, self)

    def _again(self) -> list[Effect]:
        """8.1.3.5: the INVITE once more, with the next CSeq number and the same Call-ID and tag, as the refusal asks."""
        self._ours.pop(self.key, None)
        for tag in list(self._early):
            self._drop_early(tag)
        self.phase = Phase.PREPARATIVE
        self.cseq += 1
        self.key = ClientKey(self.core.branch(), "INVITE")
        asked = (
            self._auth.fields("INVITE", self._command.request_uri, self._command.body) if self._auth is not None else []
        )
        self.request = self._written(asked)
        return self._open()

    @property
    def owns_call_id(self) -> bool:
        """See InviteUsage."""
        return True

    def dialog_of(self, envelope: Envelope) -> Dialog:
        """See InviteUsage."""
        if self.dialog is not None and self.dialog.key.remote_tag == envelope.from_tag:
            return self.dialog
        return self._early[envelope.from_tag]

    def dialog_to_speak_in(self) -> Dialog | None:
        """See InviteUsage; before the answer, the first early dialog whose offer and answer are done (RFC 3311 5.1)."""
        if self.dialog is not None:
            return self.dialog
        return next(
            (self._early[tag] for tag, heard in self._heard.items() if heard.described and tag in self._early), None
        )

    def _our_offer_pending(self, dialog: Dialog) -> bool:
        heard = self._heard.get(dialog.key.remote_tag)
        if self.dialog is not None or heard is None or not heard.described:
            return super()._our_offer_pending(dialog)
        # RFC 3262 section 5: a reliable 1xx has brought the answer in this early dialog.
        return any(sent is not None and sent.offers for sent in self._ours.values())

    def move(self, flow: Flow) -> list[Effect]:
        """See InviteUsage."""
        for dialog in self._early.values():
            dialog.flow = flow
        return super().move(flow)

    # responses to the INVITE

    def answered(self, response: Response) -> list[Effect]:
        """See machine.Owner."""
        if 100 < response.status < 300 and not self._has_room(envelope(response).to_tag):
            return []
        if response.status < 200:
            return self._progressed(response)
        if response.status < 300:
            return self._accepted(response)
        if not self.over and not self._cancel_wanted and self._attempt.challenged(response):
            return self._again()
        return self._ended(response, None)

    def _has_room(self, tag: str) -> bool:
        if len(self._forks) < FORKS:
            self._forks.add(tag)
        return tag in self._forks

    def failed(self, failure: Failure) -> list[Effect]:
        """See machine.Owner."""
        return self._ended(None, failure)

    def _progressed(self, response: Response) -> list[Effect]:
        if self.over or self.phase not in (Phase.PREPARATIVE, Phase.EARLY):
            return []
        self.phase = Phase.EARLY
        if response.status == 100:
            return self._send_cancel() if self._cancel_wanted else [Deliver(InviteTrying(self.id))]
        self.heard(response)
        fields = envelope(response)
        if fields.to_tag and response.status != 199:
            self._early_dialog(response, fields)
        rseq = rseq_of(response)
        effects, fresh = ([], True) if rseq is None else self._acknowledge(rseq, response, fields.to_tag)
        if self._cancel_wanted:
            return [*effects, *self._send_cancel()]
        if not fresh:
            return effects
        if response.status == 199:
            # RFC 6228: this fork has ended; others may go on.
            self._drop_early(fields.to_tag)
        return [*effects, Deliver(InviteProgressed(self.id, response, fields.to_tag))]

    def _acknowledge(self, rseq: int, response: Response, tag: str) -> tuple[list[Effect], bool]:
        """PRACK for a reliable 1xx (RFC 3262 section 4); True if call control is to hear of the response."""
        dialog, heard = self._early.get(tag), self._heard.setdefault(tag, Heard())
        order = heard.order(rseq)
        if dialog is None or order < 0:
            # One before it is missing: not acknowledged, so that the peer sends both again.
            return [], False
        if order == 0:
            # CALL-5: the same PRACK for each copy, as an ACK is.
            heard.copies += 1
            again = [Send(self.flow.id, heard.prack)] if heard.prack is not None and heard.copies <= COPIES else []
            return [*again], False
        heard.copies = 0
        heard.rseq, heard.described = rseq, heard.described or bool(response.body)
        effects = SentPrack(self.core, dialog, Headers([("RAck", f"{rseq} {self.cseq} INVITE")])).start()
        sent = [effect.message for effect in effects if isinstance(effect, Send)]
        heard.prack = next((message for message in sent if isinstance(message, Request)), None)
        return effects, True

    def _early_dialog(self, response: Response, fields: Envelope) -> None:
        # 12.1.2: one per remote tag; 13.2.2.4 lets the 2xx correct route set and target.
        if fields.to_tag not in self._early:
            dialog = self._dialog(response, fields)
            self._early[fields.to_tag] = dialog
            self._register(dialog.key)

    def _dialog(self, response: Response, fields: Envelope) -> Dialog:
        dialog = dialog_of_response(self.request, response, fields, self.contact_user, self.flow)
        dialog.auth = self._auth
        if self.carrier:
            dialog.follow()
        return dialog

    def _drop_early(self, tag: str) -> None:
        dialog = self._early.pop(tag, None)
        if dialog is not None:
            self._unregister(dialog.key)

    def _accepted(self, response: Response) -> list[Effect]:
        fields = envelope(response)
        known = self._acks.get(fields.to_tag)
        if known is not None:
            # 13.2.2.4: the same ACK for each copy of the 2xx.
            return [Send(known[0], known[1])]
        self.heard(response)
        dialog = self._dialog(response, fields)
        ack = dialog.ack(self.core, self.cseq, self.request)
        self._acks[fields.to_tag] = dialog.flow.id, ack
        self.sent_ack(self.key, ack)
        effects: list[Effect] = [Send(dialog.flow.id, ack)]
        if self.dialog is not None or self.over:
            # CALL-4: a further fork answered too.
            return [*effects, *SentBye(None, self.core, dialog, ELSEWHERE).start()]
        if self._cancel_wanted:
            return [*effects, *self._accepted_after_cancel(dialog)]
        self._confirm(dialog)
        effects += self.session.accepted(self, response)
        return [*effects, Deliver(InviteAccepted(self.id, response))]

    def _confirm(self, dialog: Dialog) -> None:
        self._ours.pop(self.key, None)
        for key in list(self._registered):
            self._unregister(key)
        early = self._early.get(dialog.key.remote_tag)
        if early is not None:
            # The early dialog's numbers go on: either side may have sent UPDATE or INFO in it.
            dialog.local_cseq, dialog.remote_cseq = early.local_cseq, early.remote_cseq
        self._early.clear()
        self.dialog = dialog
        self.phase = Phase.ESTABLISHED
        self._register(dialog.key)

    def _accepted_after_cancel(self, dialog: Dialog) -> list[Effect]:
        # RFC 5407 3.1.2, CALL-12: the 200 crossed our CANCEL; the dialog exists and has to be ended as one.
        self._confirm(dialog)
        effects = [*self.stop_timer(self.cseq, Timer.AWAIT_FINAL), *self._bye(self._cancel_reason)]
        rejected = response_to(self.request, 487)
        return [*effects, Deliver(InviteRejected(self.id, rejected)), *self.end()]

    def _ended(self, response: Response | None, failure: Failure | None) -> list[Effect]:
        self._ours.pop(self.key, None)
        if self.over or self.dialog is not None:
            return []
        if response is not None and not self._cancel_wanted and self.session.timer.refused(response):
            # RFC 4028 section 7.3: once more, with the interval the peer can bear.
            return self._again()
        return [Deliver(InviteRejected(self.id, response, failure)), *self.end()]

    # CANCEL

    def cancel(self, reason: str | None) -> list[Effect]:
        """9.1: CANCEL may go out only once a 1xx has come; asked for earlier, it waits (CALL-12)."""
        if self.dialog is not None:
            # The 2xx came before the command did, its event still on its way up: settled as if they had crossed outside.
            return [*self._bye(reason), Deliver(InviteRejected(self.id, response_to(self.request, 487))), *self.end()]
        if self._cancel_wanted:
            return []
        self._cancel_wanted, self._cancel_reason = True, reason
        return self._send_cancel() if self.phase is Phase.EARLY else []

    def _send_cancel(self) -> list[Effect]:
        if self._cancel_sent:
            return []
        self._cancel_sent = True
        sent = self.core.table.client(self.key)
        written, flow = (self.request, self.flow) if sent is None else (sent.request, sent.flow)
        invite = written.headers
        # 9.1: Request-URI, Call-ID, To, From, CSeq number, top Via and Route are the INVITE's.
        fields = [("Via", invite.get("Via") or ""), *(("Route", value) for value in invite.all("Route"))]
        fields += [("Max-Forwards", "70")]
        fields += [(name, invite.get(name) or "") for name in ("From", "To", "Call-ID")]
        fields += [("CSeq", f"{self.cseq} CANCEL"), *credentials_of(self.request), *reason_field(self._cancel_reason)]
        request = Request("CANCEL", written.uri, Headers(fields))
        key = ClientKey(self.key.branch, "CANCEL")
        wait = self.start_timer(self.cseq, Timer.AWAIT_FINAL, self.core.config.timers.give_up)
        return [*self.core.table.open_client(key, request, flow, SentCancel()), wait]

    def _abandon(self, cseq: int) -> list[Effect]:
        if self.dialog is not None:
            return super()._abandon(cseq)
        # 9.1: no final response within 64*T1 of the CANCEL: the INVITE is over, its transaction destroyed.
        return [*self.core.table.abandon(self.key), *self._ended(None, Failure.NO_RESPONSE)]

    def hang_up(self, reason: str | None) -> list[Effect]:
        """Before the answer there is no dialog to end, so the INVITE is cancelled."""
        return self.cancel(reason) if self.dialog is None else super().hang_up(reason)


@dataclass(slots=True)
class SentPrack:
    """Transaction user of a PRACK: the 1xx it acknowledges is repeated when it was lost, so nothing waits for its answer."""

    core: Core
    dialog: Dialog
    headers: Headers
    attempt: Attempt = field(init=False)

    def __post_init__(self) -> None:
        self.attempt = Attempt(self.dialog.auth)

    def start(self) -> list[Effect]:
        """Sends it."""
        return self.dialog.send(self.core, "PRACK", self, self.headers)[2]

    def answered(self, response: Response) -> list[Effect]:
        """See machine.Owner."""
        return self.start() if self.attempt.challenged(response) else []

    def failed(self, failure: Failure) -> list[Effect]:
        """See machine.Owner."""
        return []


@dataclass(slots=True)
class SentCancel:
    """Transaction user of a CANCEL: only the INVITE's own final response counts (9.1)."""

    def answered(self, response: Response) -> list[Effect]:
        """See machine.Owner."""
        return []

    def failed(self, failure: Failure) -> list[Effect]:
        """See machine.Owner."""
        return []
