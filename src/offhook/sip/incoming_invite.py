"""The INVITE of a peer: UAS side of RFC 3261 sections 9.2, 13.3 and 15.1.2 and of RFC 3262, until a 2xx makes it any other
usage."""

from collections.abc import Hashable

from offhook.sip.core import Core
from offhook.sip.dialog import Dialog, dialog_of_request
from offhook.sip.effects import Deliver, Note, Send
from offhook.sip.envelope import Envelope
from offhook.sip.events import InviteCanceled, InviteReceived, PrackMissing, ProvisionalAcknowledged, UsageId
from offhook.sip.flow import Flow
from offhook.sip.invite_usage import InviteUsage
from offhook.sip.message import Headers, Request
from offhook.sip.reason import reason_of
from offhook.sip.reliable import OPTION, Answer, Pending, ReliableAnswers
from offhook.sip.response import NO_FIELDS
from offhook.sip.timers import Timer, TimerKey
from offhook.sip.transaction.machine import Effect
from offhook.sip.usage_state import Asked, Phase, UsageClock, reason_field


class IncomingInvite(InviteUsage):
    """One To tag serves every answer (CALL-1): a client sees one dialog however many devices ring behind us."""

    def __init__(
        self, core: Core, key: Hashable, request: Request, envelope: Envelope, flow: Flow, peer: str | None
    ) -> None:
        super().__init__(core, UsageId(core.ids.token()), flow, peer)
        self.key = key
        self.request = request
        dialog = dialog_of_request(request, envelope, core.ids.token(), core.ids.token(), flow)
        self.dialog = dialog
        self._theirs[key] = Asked(request, dialog)
        self._cseq = envelope.cseq
        self._reliable = ReliableAnswers.of(request, flow, core.ids)
        self.heard(request)
        self._register(dialog.key)

    def start(self) -> list[Effect]:
        """Tells call control."""
        self.core.attach(self)
        return [Deliver(InviteReceived(self.id, self.request, self.flow, self.tag()))]

    def respond_invite(self, status: int, headers: Headers, body: bytes) -> list[Effect]:
        """Call control's 1xx, 2xx or refusal."""
        if self.phase not in (Phase.PREPARATIVE, Phase.EARLY):
            return [Note("late-answer", {"usage": self.id, "status": str(status)})]
        if status <= 100:
            return []
        answer = Answer(status, headers, body)
        if status < 200:
            # CALL-1: with tag and Contact, because clients ignore an 18x that makes no early dialog.
            self.phase = Phase.EARLY
            return self._progress(answer)
        if status < 300:
            return self._accept(answer)
        del self._theirs[self.key]
        return [*self._refuse(status, headers, body), *self.end()]

    # 1xx, reliable or not

    def _progress(self, answer: Answer) -> list[Effect]:
        reliable = self._reliable
        if reliable.final is not None:
            return []
        if not reliable.reliable(answer):
            fields = self._dialog_fields(answer.headers)
            return self.core.answer(self.key, answer.status, fields, answer.body, self.tag())
        if reliable.pending is not None:
            # RFC 3262 section 3: one at a time, so that their order is certain.
            reliable.queue.append(answer)
            return []
        return self._send_reliably(answer)

    def _send_reliably(self, answer: Answer) -> list[Effect]:
        rseq, self._reliable.next_rseq = self._reliable.next_rseq, self._reliable.next_rseq + 1
        extra = [("Require", OPTION), ("RSeq", str(rseq)), *self._dialog_fields(answer.headers)]
        response = self.core.response(self.request, answer.status, Headers(extra), answer.body, self.tag())
        timers = self.core.config.timers
        self._reliable.pending = Pending(rseq, response, timers.t1)
        return [
            *self.core.table.respond(self.key, response),
            self.start_timer(self._cseq, Timer.REPEAT_1XX, timers.t1),
            self.start_timer(self._cseq, Timer.AWAIT_PRACK, timers.give_up),
        ]

    def timer_fired(self, key: TimerKey) -> list[Effect]:
        """See InviteUsage."""
        if key.timer not in (Timer.REPEAT_1XX, Timer.AWAIT_PRACK):
            return super().timer_fired(key)
        pending = self._reliable.pending
        if key not in self._clocks or not isinstance(key.owner, UsageClock) or pending is None:
            return []
        self._clocks.pop(key, None)
        if key.timer is Timer.AWAIT_PRACK:
            return self._prack_missing()
        # Section 3: doubled each time, without the ceiling of T2.
        pending.interval *= 2
        return [
            Send(self.flow.id, pending.response), self.start_timer(self._cseq, Timer.REPEAT_1XX, pending.interval)
        ]  # fmt: skip

    def end(self) -> list[Effect]:
        """See InviteUsage. Nothing is repeated any more."""
        self._reliable.queue.clear()
        self._reliable.final = None
        return [*self._stop_repeating(), *super().end()]

    def _prack_missing(self) -> list[Effect]:
        # CALL-5: nobody can tell whether the peer hears us.
        del self._theirs[self.key]
        words = Headers([self.core.warning("prack-missing", "No PRACK came to a provisional response that needs one")])
        return [*self._refuse(504, words, b""), Deliver(PrackMissing(self.id)), *self.end()]

    def _prack_received(self, key: Hashable, request: Request, dialog: Dialog) -> list[Effect]:
        acknowledged = self._reliable.acknowledged(request.headers.get("RAck") or "", self._cseq)
        if acknowledged is None:
            return self.core.answer(key, 481)
        effects = self._stop_repeating()
        offered = bool(acknowledged.response.body) and not self.request.body
        if not request.body or offered:
            # Its body, if any, answers the offer that our 1xx made.
            effects += [*self.core.answer(key, 200), Deliver(ProvisionalAcknowledged(self.id, request))]
            return [*effects, *self._go_on()]
        # Section 5: a PRACK to a 1xx with the answer may make a further offer.
        effects.append(Deliver(ProvisionalAcknowledged(self.id, Request(request.method, request.uri, request.headers))))
        return [*effects, *self._deliver(key, request, dialog)]

    def respond(self, key: Hashable, status: int, headers: Headers, body: bytes) -> list[Effect]:
        """See InviteUsage. What waited for a PRACK goes out behind its answer."""
        effects = super().respond(key, status, headers, body)
        return [*effects, *self._go_on()] if self.key in self._theirs else effects

    def _go_on(self) -> list[Effect]:
        reliable = self._reliable
        if reliable.pending is not None or any(one.request.method == "PRACK" for one in self._theirs.values()):
            return []
        if reliable.final is not None:
            return self._accept(reliable.final)
        return self._send_reliably(reliable.queue.pop(0)) if reliable.queue else []

    def _stop_repeating(self) -> list[Effect]:
        return [
            *self.stop_timer(self._cseq, Timer.REPEAT_1XX), *self.stop_timer(self._cseq, Timer.AWAIT_PRACK)
        ]  # fmt: skip

    def _our_offer_pending(self, dialog: Dialog) -> bool:
        late = self.key in self._theirs and not self.request.body
        waits = late and self._reliable.holds_back()
        return waits or super()._our_offer_pending(dialog)

    def _their_offer_pending(self) -> bool:
        if self.key not in self._theirs or not self._reliable.described:
            return super()._their_offer_pending()
        # RFC 3262 section 5: the INVITE's offer and answer are done, though its final response is still to come.
        others = [asked.request for key, asked in self._theirs.items() if key != self.key]
        return any(one.body or one.method == "INVITE" for one in others if one.method in ("INVITE", "UPDATE", "PRACK"))

    # the final response

    def _accept(self, answer: Answer) -> list[Effect]:
        if self._reliable.holds_back():
            # Section 3: the answer must be known to have arrived before the call is.
            self._reliable.final = answer
            self._reliable.queue.clear()
            return []
        stopped = self._stop_repeating()
        self._reliable.queue.clear()
        del self._theirs[self.key]
        self.phase = Phase.MORATORIUM
        headers, body = answer.headers, answer.body
        if self._reliable.described:
            # 13.2.1: what a reliable 1xx described is not described again.
            headers, body = headers.without("Content-Type"), b""
        terms, clocks = self.session.answer(self, self.request)
        fields = Headers([*self._dialog_fields(headers), *terms])
        accepted = self.accept(self.key, self.request, answer.status, fields, body, self.tag())
        return [*stopped, *accepted, *clocks]

    def hang_up(self, reason: str | None) -> list[Effect]:
        """15: a callee may not send BYE in the early dialog; it refuses the INVITE."""
        if self.phase in (Phase.PREPARATIVE, Phase.EARLY):
            return self.respond_invite(480, reason_field(reason), b"")
        return super().hang_up(reason)

    def _bye_received(self, key: Hashable, request: Request) -> list[Effect]:
        if self.phase in (Phase.MORATORIUM, Phase.ESTABLISHED):
            return super()._bye_received(key, request)
        # CALL-13: BYE in the early dialog is CANCEL by another name.
        return [*self.core.answer(key, 200), *self._give_up(reason_of(request.headers))]

    def cancelled(self, key: Hashable, reason: str | None) -> list[Effect]:
        """9.2: 487 while no final response is out; later CANCEL has no effect, and the call stands until BYE (CALL-12)."""
        if key != self.key:
            return super().cancelled(key, reason)
        return [] if self.key not in self._theirs else self._give_up(reason)

    def _give_up(self, reason: str | None) -> list[Effect]:
        self._theirs.pop(self.key, None)
        return [*self._refuse(487, NO_FIELDS, b""), Deliver(InviteCanceled(self.id, reason)), *self.end()]

    def _refuse(self, status: int, headers: Headers, body: bytes) -> list[Effect]:
        return self.core.answer(self.key, status, headers, body, self.tag())

    def _dialog_fields(self, headers: Headers) -> Headers:
        # 12.1.1: Record-Route is copied, our Contact is the remote target of the peer.
        routes = [("Record-Route", value) for value in self.request.headers.all("Record-Route")]
        assert self.dialog is not None  # since the INVITE came
        return Headers([*routes, ("Contact", self._contact(self.dialog)), *self.core.abilities(self.flow), *headers])
