"""The INVITE usage once a dialog exists: RFC 3261 sections 12.2, 13.3.1.4, 14 and 15, races as RFC 5407 draws them.

Lives here: what both roles share, that is 2xx until ACK, requests inside the dialog in both directions, BYE. The first
INVITE is incoming_invite.py's and outgoing_invite.py's. Never here: what a session description says.
"""

from collections.abc import Hashable

from offhook.sip.client_auth import ClientAuth
from offhook.sip.core import Core
from offhook.sip.dialog import Dialog
from offhook.sip.effects import Deliver, Note, Send, StartTimer, StopTimer
from offhook.sip.envelope import DialogKey, Envelope
from offhook.sip.events import (
    AckMissing,
    AckReceived,
    DialogLost,
    Failure,
    HungUp,
    RequestAnswered,
    RequestInDialog,
    SessionExpired,
    UsageId,
    UsageMoved,
)
from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import ClientCredentials
from offhook.sip.message import Headers, Request, Response
from offhook.sip.reason import reason_of
from offhook.sip.response import phrase
from offhook.sip.sent import SentBye, SentInDialog
from offhook.sip.session_keeper import SessionKeeper
from offhook.sip.session_timer import Fields
from offhook.sip.timers import Timer, TimerKey
from offhook.sip.transaction.key import ClientKey
from offhook.sip.transaction.machine import Effect
from offhook.sip.usage_state import Asked, Phase, Unacknowledged, UsageClock
from offhook.sip.wishes import Wish, Wishes

_ACK_TIMERS = (Timer.REPEAT_2XX, Timer.AWAIT_ACK)


class InviteUsage:
    """One usage. Call control knows it by `id` until `over`; after that it only cleans up.

    `peer` is the user name of the endpoint behind it, None while unknown; it decides who may speak in the dialog from
    another flow (AUTH-13). `subscriptions` counts those that REFERs have implied: they keep the dialog after BYE (RFC 5057).
    `detached`: its flow is gone, what we would send are `wishes` until it has another (LIVE-7).
    """

    def __init__(self, core: Core, usage: UsageId, flow: Flow, peer: str | None) -> None:
        self.core = core
        self.id = usage
        self.flow = flow
        self.peer = peer
        self.carrier = False
        self.phase = Phase.PREPARATIVE
        self.contact_params = ""
        self.over = False
        self.dialog: Dialog | None = None
        self._clocks: dict[TimerKey, None] = {}
        self._unacknowledged: dict[int, Unacknowledged] = {}
        self._theirs: dict[Hashable, Asked] = {}
        self._ours: dict[ClientKey, SentInDialog | None] = {}
        self._bye_waits: str | None = None
        self._byes = 0
        self._registered: set[DialogKey] = set()
        self.subscriptions = 0
        self.detached = False
        self.wishes = Wishes(core.config.leg_queue)
        self._acks_sent: dict[ClientKey, Request] = {}
        self._allow: frozenset[str] | None = None
        self.session = SessionKeeper(self)

    # what the endpoint asks

    @property
    def running_timers(self) -> int:
        """Timers that are set."""
        return len(self._clocks)

    def tag(self) -> str:
        """See machine.ServerUser."""
        return "" if self.dialog is None else self.dialog.key.local_tag

    def move(self, flow: Flow) -> list[Effect]:
        """The peer is on another flow of the same endpoint: everything goes there now (AUTH-13, LIVE-5, LIVE-6)."""
        self.core.detach(self)
        self.flow = flow
        self.core.attach(self)
        if self.dialog is not None:
            self.dialog.flow = flow
        for key in self._theirs:
            self.core.table.move(key, flow)
        moved: list[Effect] = [] if self.over else [Deliver(UsageMoved(self.id, flow))]
        return [*moved, *self._attached()]

    # without a flow

    def lose_flow(self) -> list[Effect]:
        """LIVE-1, LIVE-8: nothing ends, and the wait for an ACK stops. One that is over waits to say its BYE (LIVE-14)."""
        if self.detached or not self.flow.transport.reliable:
            return []
        self.detached = True
        stops = [self.stop_timer(cseq, timer) for cseq in self._unacknowledged for timer in _ACK_TIMERS]
        return [*(effect for effects in stops for effect in effects), *self.session.pause(self), *self._entomb()]

    def _entomb(self) -> list[Effect]:
        if not (self.over and self.detached):
            return []
        return [self.start_timer(0, Timer.TOMBSTONE, self.core.config.tombstone)]

    def _attached(self) -> list[Effect]:
        """LIVE-8: the same 2xx and ACK again, for the first may be lost; LIVE-7: wishes become requests."""
        if not self.detached:
            return []
        self.detached = False
        effects = self.stop_timer(0, Timer.TOMBSTONE)
        timers = self.core.config.timers
        for cseq, waiting in self._unacknowledged.items():
            waiting.interval = timers.t1
            repeat = self.start_timer(cseq, Timer.REPEAT_2XX, timers.t1)
            effects += [
                Send(self.flow.id, waiting.response),
                repeat,
                self.start_timer(cseq, Timer.AWAIT_ACK, timers.give_up),
            ]
        alive = [ack for key, ack in self._acks_sent.items() if self.core.table.client(key) is not None]
        effects += [Send(self.flow.id, ack) for ack in alive]
        bye = self.wishes.take_bye()
        if bye is not None:
            return [*effects, *self._bye(bye)]
        for wish in self.wishes.take():
            effects += self.send(wish.method, wish.headers, wish.body)
        return [*effects, *self.session.resume(self)]

    def settle(self, probe: bool) -> list[Effect]:
        """LIVE-9: the peer has had its time to speak first: the wish about media is sent, or without one an UPDATE that says
        nothing, if `probe` and the peer takes it."""
        if self.detached or self.over:
            return []
        wish = self.wishes.take_media()
        if wish is not None:
            return self.send(wish.method, wish.headers, wish.body)
        return self.refresh(self.session.timer.ask()) if probe and self.takes("UPDATE") else []

    @property
    def owes_bye(self) -> bool:
        """True if it has ended for call control, and its peer cannot be told."""
        return self.over and self.detached and (self.wishes.bye is not None or self._bye_waits is not None)

    def _keep(self, wish: Wish) -> list[Effect]:
        if self.wishes.add(wish):
            return []
        note = Note("leg-queue-full", {"usage": self.id, "method": wish.method})
        return [note, self._answered(wish.method, None)]

    def sent_ack(self, key: ClientKey, ack: Request) -> None:
        """Remembers an ACK as long as its 2xx may come again."""
        self._acks_sent = {one: old for one, old in self._acks_sent.items() if self.core.table.client(one) is not None}
        self._acks_sent[key] = ack

    # what the peer is like

    def takes(self, method: str) -> bool:
        """True if the peer's Allow lists the method; one that never sent Allow takes none of the later ones."""
        return self._allow is not None and method in self._allow

    @property
    def allowed(self) -> tuple[str, ...] | None:
        """The peer's Allow, sorted; None if it never sent one."""
        return None if self._allow is None else tuple(sorted(self._allow))

    @allowed.setter
    def allowed(self, methods: tuple[str, ...] | None) -> None:
        self._allow = None if methods is None else frozenset(methods)

    def heard(self, message: Request | Response) -> None:
        """Remembers what the peer allows."""
        lines = message.headers.all("Allow")
        if lines:
            self._allow = frozenset(method.strip().upper() for line in lines for method in line.split(","))

    @property
    def negotiating(self) -> bool:
        """True while an INVITE or UPDATE of either side is unanswered, or a 2xx of ours unacknowledged."""
        asked = any(one.request.method in ("INVITE", "UPDATE") for one in self._theirs.values())
        ours = any(sent is None or sent.method in ("INVITE", "UPDATE") for sent in self._ours.values())
        return asked or ours or bool(self._unacknowledged)

    @property
    def established(self) -> bool:
        """True from the 2xx to the end."""
        return self.phase in (Phase.MORATORIUM, Phase.ESTABLISHED)

    @property
    def owns_call_id(self) -> bool:
        """True for the side that sent the dialog's first INVITE (14.1)."""
        return False

    def from_carrier(self, credentials: ClientCredentials | None, session_timer: str) -> list[Effect]:
        """The peer is a carrier: what to prove ourselves with (TRK-3) in a dialog that goes where its route set leads."""
        self.carrier, self.session.timer.mode = True, session_timer
        if self.dialog is not None:
            self.dialog.auth = ClientAuth(credentials, self.core.ids) if credentials is not None else None
            self.dialog.follow()
        return []

    # what only one role can

    def respond_invite(self, status: int, headers: Headers, body: bytes) -> list[Effect]:
        """Answers the peer's INVITE."""
        return [Note("not-an-incoming-invite", {"usage": self.id, "status": str(status)})]

    def cancel(self, reason: str | None) -> list[Effect]:
        """Cancels our INVITE."""
        return [Note("not-an-outgoing-invite", {"usage": self.id})]

    # requests of the peer

    def receive(self, key: Hashable, request: Request, envelope: Envelope) -> list[Effect]:
        """A request inside the dialog, with its server transaction open."""
        dialog = self.dialog_of(envelope)
        if self.phase is Phase.MORTAL or self.over:
            # RFC 5407 3.2.1: BYEs that cross are both answered 200. CALL-13: anything else finds no dialog.
            return self.core.answer(key, 200 if request.method == "BYE" else 481)
        if dialog.remote_cseq is not None and envelope.cseq < dialog.remote_cseq:
            # 12.2.2: out of order.
            return self.core.answer(key, 500)
        dialog.remote_cseq = envelope.cseq
        self.heard(request)
        if request.method in ("INVITE", "UPDATE") and self.session.timer.too_small(request):
            # RFC 4028 section 9.
            return self.core.answer(key, 422, self.core.min_se())
        match request.method:
            case "BYE":
                return self._bye_received(key, request)
            case "INVITE":
                return self._reinvite_received(key, request, dialog)
            case "UPDATE":
                return self._update_received(key, request, dialog)
            case "PRACK":
                return self._prack_received(key, request, dialog)
            case _:
                return self._deliver(key, request, dialog)

    def dialog_of(self, envelope: Envelope) -> Dialog:
        """The dialog that a request of the peer belongs to; an outgoing INVITE may have several early ones."""
        assert self.dialog is not None
        return self.dialog

    def _reinvite_received(self, key: Hashable, request: Request, dialog: Dialog) -> list[Effect]:
        if self._our_offer_pending(dialog) or any(waiting.offered for waiting in self._unacknowledged.values()):
            # 14.2: our own INVITE is not settled; RFC 5407 3.1.5: nor is a 2xx of ours whose answer the ACK must bring.
            return self.core.answer(key, 491)
        if self._their_invite_pending():
            # 14.2: a second INVITE before the final response to the first.
            return self.core.answer(key, 500, self._retry_after())
        return self._deliver(key, request, dialog)

    def _update_received(self, key: Hashable, request: Request, dialog: Dialog) -> list[Effect]:
        if request.body and self._our_offer_pending(dialog):
            # RFC 3311 5.2: two offers cross.
            return self.core.answer(key, 491)
        if request.body and self._their_offer_pending():
            # RFC 3311 5.2: an earlier offer of theirs is unanswered.
            return self.core.answer(key, 500, self._retry_after())
        return self._deliver(key, request, dialog)

    def _prack_received(self, key: Hashable, request: Request, dialog: Dialog) -> list[Effect]:
        # CALL-5: nothing of ours waits for it.
        return self.core.answer(key, 481)

    def _bye_received(self, key: Hashable, request: Request) -> list[Effect]:
        effects = self.core.answer(key, 200)
        if self.phase in (Phase.MORATORIUM, Phase.ESTABLISHED):
            effects.append(Deliver(HungUp(self.id, reason_of(request.headers))))
            effects += self.end()
        return effects

    def _deliver(self, key: Hashable, request: Request, dialog: Dialog) -> list[Effect]:
        self._theirs[key] = Asked(request, dialog)
        return [Deliver(RequestInDialog(self.id, key, request))]

    def _refuse_pending(self) -> list[Effect]:
        pending, self._theirs = list(self._theirs), {}
        return [effect for key in pending for effect in self.core.answer(key, 487)]

    def _their_invite_pending(self) -> bool:
        return any(asked.request.method == "INVITE" for asked in self._theirs.values())

    def _their_offer_pending(self) -> bool:
        """True while an offer of the peer, or an INVITE that may yet lead to one, has no answer."""
        return any(
            asked.request.method == "INVITE" or (asked.request.method in ("UPDATE", "PRACK") and asked.request.body)
            for asked in self._theirs.values()
        )

    def _our_offer_pending(self, dialog: Dialog) -> bool:
        """True while an offer of ours in this dialog has no answer."""
        return any(sent is None or sent.offers for sent in self._ours.values())

    def _retry_after(self) -> Headers:
        # 14.2: a random time of 0 to 10 s.
        return Headers([("Retry-After", str(round(self.core.ids.uniform(0, 10))))])

    def respond(self, key: Hashable, status: int, headers: Headers, body: bytes) -> list[Effect]:
        """Call control answers a `RequestInDialog`; a transaction that ended meanwhile is past answering."""
        asked = self._theirs.get(key)
        if asked is None:
            return []
        request, dialog = asked.request, asked.dialog
        if status >= 200:
            del self._theirs[key]
        if request.method not in ("INVITE", "UPDATE") or not 200 <= status < 300:
            # RFC 6141 section 3.4: what is refused leaves the dialog as it was, the remote target too.
            return self.core.answer(key, status, headers, body)
        dialog.refresh_target(request)
        terms, clocks = self.session.answer(self, request)
        fields = Headers([("Contact", self._contact(dialog)), *self.core.abilities(self.flow), *terms, *headers])
        if request.method == "INVITE":
            return [*self.accept(key, request, status, fields, body), *clocks]
        return [*self.core.answer(key, status, fields, body), *clocks]

    def cancelled(self, key: Hashable, reason: str | None) -> list[Effect]:
        """9.2: the peer takes a re-INVITE back that call control has not answered."""
        return [] if self._theirs.pop(key, None) is None else self.core.answer(key, 487)

    # 2xx until ACK

    def accept(
        self, key: Hashable, request: Request, status: int, headers: Headers, body: bytes, to_tag: str = ""
    ) -> list[Effect]:
        """13.3.1.4: sends a 2xx to INVITE and repeats it at T1, doubled up to T2, until its ACK, on every transport."""
        response = self.core.response(request, status, headers, body, to_tag)
        timers = self.core.config.timers
        cseq = int((request.headers.get("CSeq") or "0").split(None, 1)[0])
        self._unacknowledged[cseq] = Unacknowledged(response, timers.t1, bool(body) and not request.body)
        if self.detached:
            return self.core.table.respond(key, response)
        return [
            *self.core.table.respond(key, response),
            self.start_timer(cseq, Timer.REPEAT_2XX, timers.t1),
            self.start_timer(cseq, Timer.AWAIT_ACK, timers.give_up),
        ]

    def ack(self, request: Request, envelope: Envelope) -> list[Effect]:
        """The ACK to a 2xx; copies of it, and those for other sequence numbers, mean nothing more."""
        if self._unacknowledged.pop(envelope.cseq, None) is None:
            return []
        effects = [*self.stop_timer(envelope.cseq, Timer.REPEAT_2XX), *self.stop_timer(envelope.cseq, Timer.AWAIT_ACK)]
        first = self.phase is Phase.MORATORIUM
        if first:
            self.phase = Phase.ESTABLISHED
        if not self.over:
            effects.append(Deliver(AckReceived(self.id, request)))
            effects += self.session.confirmed(self) if first else []
        return [*effects, *self._late_bye(), *self._bury()]

    def timer_fired(self, key: TimerKey) -> list[Effect]:
        """A timer of this usage; a stale one is ignored."""
        if key not in self._clocks or not isinstance(key.owner, UsageClock):
            return []
        self._clocks.pop(key, None)
        match key.timer:
            case Timer.REPEAT_2XX:
                return self._repeat(key.owner.cseq)
            case Timer.AWAIT_ACK:
                return self._ack_missing(key.owner.cseq)
            case Timer.AWAIT_FINAL:
                return self._abandon(key.owner.cseq)
            case Timer.TOMBSTONE:
                return self._forget()
            case Timer.REFRESH:
                return self.session.due(self)
            case Timer.SESSION:
                return self._session_expired()
            case _:
                return []

    def _session_expired(self) -> list[Effect]:
        # RFC 4028 section 10.
        effects = self._bye('SIP;cause=408;text="The session was not refreshed"')
        return [*effects, Deliver(SessionExpired(self.id)), *self.end()]

    def _repeat(self, cseq: int) -> list[Effect]:
        waiting = self._unacknowledged[cseq]
        waiting.interval = self.core.config.timers.next(waiting.interval)
        return [Send(self.flow.id, waiting.response), self.start_timer(cseq, Timer.REPEAT_2XX, waiting.interval)]

    def _ack_missing(self, cseq: int) -> list[Effect]:
        # 13.3.1.4: the dialog stands confirmed, but the session is to be ended with BYE.
        waiting = self._unacknowledged.pop(cseq)
        effects = self.stop_timer(cseq, Timer.REPEAT_2XX)
        if self.over:
            return [*effects, *self._late_bye(), *self._bury()]
        contact = (waiting.response.headers.get("Contact") or "").replace('"', "")
        effects += self._bye(f'SIP;cause=408;text="No ACK came to the 200 with Contact {contact}"')
        return [*effects, Deliver(AckMissing(self.id)), *self.end()]

    def _forget(self) -> list[Effect]:
        # LIVE-14: the device never came for its BYE.
        self._unacknowledged.clear()
        self._bye_waits = None
        self.wishes.clear()
        return self._bury()

    def _abandon(self, cseq: int) -> list[Effect]:
        keys = [key for key, sent in self._ours.items() if sent is not None and sent.cseq == cseq]
        effects: list[Effect] = []
        for key in keys:
            del self._ours[key]
            effects += self.core.table.abandon(key)
        return [*effects, *self._bury()]

    # requests of ours

    def send(
        self, method: str, headers: Headers, body: bytes, credentials: ClientCredentials | None = None
    ) -> list[Effect]:
        """INFO, UPDATE, REFER or re-INVITE of call control."""
        dialog = self.dialog_to_speak_in()
        if dialog is None:
            return [Note("no-dialog", {"usage": self.id, "method": method}), self._answered(method, None)]
        if self.detached:
            return self._keep(Wish(method, headers, body))
        offers = method == "INVITE" or (method == "UPDATE" and bool(body))
        if offers and (self._our_offer_pending(dialog) or self._their_offer_pending() or self._unacknowledged):
            # 14.1, RFC 3311 5.1: no offer while another is under way; the peer would only say so itself.
            return [self._answered(method, Response(491, phrase(491)))]
        if offers:
            # The newer state is on its way, so the one that waits is out of date.
            self.wishes.take_media()
        auth = ClientAuth(credentials, self.core.ids) if credentials is not None else None
        return self.send_again(SentInDialog(self, dialog, method, offers, headers, body, auth=auth))

    def dialog_to_speak_in(self) -> Dialog | None:
        """The dialog that requests of ours go to; None while there is none."""
        return self.dialog

    def refresh(self, terms: Fields) -> list[Effect]:
        """UPDATE without a body, for the session timer alone: call control does not hear of it."""
        if self.dialog is None:
            return []
        return self.send_again(SentInDialog(self, self.dialog, "UPDATE", False, terms=terms, told=False))

    def send_again(self, sent: "SentInDialog") -> list[Effect]:
        """Sends a request inside the dialog, the first time or once more: with credentials, or other session terms."""
        if sent.key is not None:
            self._ours.pop(sent.key, None)
        sent.flow = sent.dialog.flow.id
        terms: Fields = []
        if sent.method in ("INVITE", "UPDATE"):
            terms = self.session.timer.ask() if sent.terms is None else sent.terms
        headers = Headers([*terms, *sent.headers])
        sent.key, sent.cseq, effects = sent.dialog.send(self.core, sent.method, sent, headers, sent.body, sent.auth)
        self._ours[sent.key] = sent
        return effects

    def _answered(self, method: str, response: Response | None) -> Effect:
        return Deliver(RequestAnswered(self.id, method, response))

    def settled(self, sent: "SentInDialog", response: Response | None, failure: Failure | None) -> list[Effect]:
        """A request of ours has its final response, or will have none."""
        if sent.key is not None:
            self._ours.pop(sent.key, None)
        if self.over:
            # CALL-13: the answer to a re-INVITE that our BYE or theirs overtook is swallowed.
            return [*self.stop_timer(sent.cseq, Timer.AWAIT_FINAL), *self._bury()]
        if failure is not None and sent.flow != self.flow.id:
            # The peer has moved meanwhile: it is asked where it is now.
            mine = sent.auth.credentials if sent.auth is not None else None
            return self.send(sent.method, sent.headers, sent.body, mine) if sent.told else []
        if failure is Failure.FLOW_FAILED and self.flow.transport.reliable:
            # LIVE-7: a request that dies with its flow turns back into its wish; a refresh is due again on the next flow.
            lost = self.lose_flow()
            if sent.told:
                self.wishes.put_back(Wish(sent.method, sent.headers, sent.body))
            return lost
        if response is not None and response.status == 422 and self.session.timer.refused(response):
            # RFC 4028 section 7.3: once more, with the interval the peer can bear.
            sent.terms = None
            return self.send_again(sent)
        effects = self._timed(sent, response)
        if sent.told:
            effects.append(self._answered(sent.method, response))
        gone = response is not None and response.status in (408, 481)
        if not self.established or (not gone and failure is not Failure.NO_RESPONSE):
            # Before the answer the INVITE alone decides what becomes of the dialog.
            return effects
        # 12.2.1.2: the peer has forgotten the dialog, or cannot be reached in it. To the latter a BYE may still get through.
        if response is None or response.status == 408:
            effects += self._bye('SIP;cause=408;text="No response inside the dialog"')
        return [*effects, Deliver(DialogLost(self.id)), *self.end()]

    def _timed(self, sent: "SentInDialog", response: Response | None) -> list[Effect]:
        """What a final response means for the session timer."""
        if response is None or sent.method not in ("INVITE", "UPDATE"):
            return []
        if response.status < 300:
            return self.session.accepted(self, response)
        if sent.told:
            return self.session.answers(self, response) or []
        return self.session.refused(self, response)

    def hang_up(self, reason: str | None) -> list[Effect]:
        """Ends the usage for call control. Before the ACK to our 2xx a BYE would be wrong, so it waits for it (15)."""
        if self.phase is Phase.MORATORIUM:
            self._bye_waits = reason or ""
            return self.end()
        return [*self._bye(reason), *self.end()]

    def _late_bye(self) -> list[Effect]:
        if self._bye_waits is None or self._unacknowledged:
            return []
        reason, self._bye_waits = self._bye_waits, None
        return self._bye(reason)

    def _bye(self, reason: str | None) -> list[Effect]:
        assert self.dialog is not None
        if self.detached:
            self.wishes.hang_up(reason)
            return []
        self._byes += 1
        return SentBye(self, self.core, self.dialog, reason).start()

    def bye_settled(self) -> list[Effect]:
        """Our BYE has its answer, or will have none: the dialog can be forgotten."""
        self._byes -= 1
        return self._bury()

    def bye_failed(self, reason: str | None, flow: FlowId, failure: Failure) -> list[Effect]:
        """Our BYE died with its flow: it is said when the peer has another one, the one it is on already, or never."""
        if failure is not Failure.FLOW_FAILED or not self.flow.transport.reliable:
            return self.bye_settled()
        self._byes -= 1
        if flow != self.flow.id:
            return self._bye(reason)
        lost = self.lose_flow()
        self.wishes.hang_up(reason)
        return lost

    # the end

    def end(self) -> list[Effect]:
        """Call control hears nothing more. What is unacknowledged or unanswered still keeps the dialog for a while.

        15.1.2: requests of the peer that wait for an answer get 487.
        """
        self.over = True
        self.phase = Phase.MORTAL
        # A re-INVITE of ours that got a 1xx may stay unanswered for ever, now that nobody asks for it.
        wait = self.core.config.timers.give_up
        pending = [sent for sent in self._ours.values() if sent is not None and sent.method == "INVITE"]
        waits = [self.start_timer(sent.cseq, Timer.AWAIT_FINAL, wait) for sent in pending]
        if self.wishes.bye is None:
            self.wishes.clear()
        return [*self._refuse_pending(), *self.session.pause(self), *waits, *self._entomb(), *self._bury()]

    def subscription_ended(self) -> list[Effect]:
        """See subscription.Host."""
        self.subscriptions -= 1
        return self._bury()

    def _bury(self) -> list[Effect]:
        unsettled = (
            self._unacknowledged
            or self._byes
            or self._bye_waits is not None
            or self._ours
            or self.subscriptions
            or len(self.wishes)
        )
        if not self.over or unsettled:
            return []
        self.phase = Phase.MORGUE
        self.core.detach(self)
        for key in self._registered:
            self.core.dialogs.pop(key, None)
        self._registered.clear()
        effects: list[Effect] = [StopTimer(key) for key in self._clocks]
        self._clocks.clear()
        return effects

    # small

    def _register(self, key: DialogKey) -> None:
        self.core.dialogs[key] = self
        self._registered.add(key)

    def _unregister(self, key: DialogKey) -> None:
        self.core.dialogs.pop(key, None)
        self._registered.discard(key)

    def _contact(self, dialog: Dialog) -> str:
        return self.core.contact(self.flow, dialog.contact_user) + self.contact_params

    def start_timer(self, cseq: int, timer: Timer, seconds: float) -> StartTimer:
        """Starts a clock of the usage, known by the number of a request."""
        key = TimerKey(UsageClock(self.id, cseq), timer)
        self._clocks[key] = None
        return StartTimer(key, seconds)

    def stop_timer(self, cseq: int, timer: Timer) -> list[Effect]:
        """Stops it, if it runs."""
        if not self._clocks:
            return []
        key = TimerKey(UsageClock(self.id, cseq), timer)
        if key not in self._clocks:
            return []
        self._clocks.pop(key, None)
        return [StopTimer(key)]
