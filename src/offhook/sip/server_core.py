"""The UAS core: RFC 3261 section 8.2, in its order, for every request that begins a transaction.

Lives here: which of our rooms serves a request, and the refusals that need none of them. Never here: the rooms.
"""

from dataclasses import dataclass

from offhook.sip.contacts import option_tags
from offhook.sip.core import Core
from offhook.sip.dialog import contact_uri
from offhook.sip.domains import aor_of
from offhook.sip.effects import Deliver, FindRegistration, Note, Send
from offhook.sip.envelope import DialogKey, Envelope
from offhook.sip.errors import PeerError
from offhook.sip.events import RequestReceived, SubscribeReceived
from offhook.sip.flow import Flow, Transport
from offhook.sip.gate import Gate, TurnedAway
from offhook.sip.incoming_invite import IncomingInvite
from offhook.sip.inspection import Refusal, described, initial, with_description
from offhook.sip.invite_usage import InviteUsage
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request
from offhook.sip.proof import Doorkeeper
from offhook.sip.reason import reason_of
from offhook.sip.registrar import Registrar
from offhook.sip.seldom import Seldom
from offhook.sip.session_timer import SessionTimer
from offhook.sip.stamp import stamped
from offhook.sip.subscription import Subscription
from offhook.sip.subscriptions import read_event, read_expires
from offhook.sip.throttle import Throttle
from offhook.sip.transaction.key import AnyServerKey, merge_key, server_key
from offhook.sip.transaction.machine import Effect

KNOWN = frozenset(
    {"INVITE", "ACK", "CANCEL", "BYE", "REGISTER", "OPTIONS", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH", "INFO"}
    | {"REFER", "MESSAGE", "UPDATE"}
)
"""Methods with an RFC: one we do not serve is 405, any other 501 (RFC 3261 section 21.4.6)."""

ONLY_IN_DIALOG = frozenset({"BYE", "INFO", "UPDATE", "PRACK", "NOTIFY"})

SCHEMES = frozenset({"sip", "sips", "tel"})


@dataclass(frozen=True, eq=False, slots=True)
class InDialog:
    """Token of a look-up: a request inside a dialog that came by a flow we do not know, with credentials (AUTH-13)."""

    key: AnyServerKey
    request: Request
    envelope: Envelope
    flow: Flow
    dialog: DialogKey


class ServerCore:
    """Owned by the endpoint."""

    def __init__(self, core: Core, doorkeeper: Doorkeeper, registrar: Registrar) -> None:
        self._core = core
        self._doorkeeper = doorkeeper
        self._registrar = registrar
        self._throttle = Throttle(core)
        self.refuse_new = self._throttle.refuse
        self.refuses = self._throttle.refuses
        self._broken = Seldom()
        self.gate: Gate | None = None
        self._stranger = False

    def receive(self, key: AnyServerKey, request: Request, fields: Envelope, flow: Flow, now: float) -> list[Effect]:
        """A request that matches no transaction."""
        self._stranger = False
        if request.method == "ACK":
            return self.acknowledge(request, fields)
        request = stamped(request, fields, flow)
        if request.method == "CANCEL":
            return self._cancel(key, request, fields, flow, now)
        away = self._throttle.turn_away(request, fields, flow)
        if away is None:
            away = self._strangers(request, fields, flow, now)
        if away is not None:
            return away
        if request.method == "REGISTER" and not self._refusal(request):
            turned_away = self._registrar.turn_away(request, flow, now)
            if turned_away is not None:
                return turned_away
            return self._registrar.receive(key, request, fields, flow, now, self._stranger)
        if fields.to_tag:
            return self._in_dialog(key, request, fields, flow, now)
        return self._initial(key, request, fields, flow, now)

    def acknowledge(self, request: Request, fields: Envelope) -> list[Effect]:
        """ACK to a 2xx: found by its dialog, whatever its branch and flow; one for nothing is dropped (CALL-10)."""
        usage = self._core.dialogs.get(fields.dialog)
        read = with_description(request, self._core.config)
        return [] if usage is None or not isinstance(read, Request) else usage.ack(read, fields)

    def refuse_malformed(self, error: PeerError, flow: Flow, now: float) -> list[Effect]:
        """A line of the log, and a stateless answer that names the fault, if the message is a request that tells where
        answers go."""
        request, known = error.partial, self._acquainted(flow, now)
        facts = {"flow": flow.id, "text": str(error)}
        noted: list[Effect] = [Note(error.slug, facts)] if known else self._broken.note(error.slug, facts, now)
        if request is None or request.method == "ACK" or not request.headers.get("Via"):
            return noted
        away = None if known else self._throttle.stranger(request, flow, now)
        if away is not None:
            return [*noted, *away]
        fields = Headers([self._core.warning(error.slug, str(error))])
        return [*noted, Send(flow.id, self._core.response(request, error.status, fields))]

    def _strangers(self, request: Request, fields: Envelope, flow: Flow, now: float) -> list[Effect] | None:
        """`UNAUTH_RATE`. Not for what belongs to a dialog, nor for a REGISTER that is served, which has its own; trunks are
        no strangers.

        Over UDP a stranger's address may be forged: nothing is kept of him, and no more is said than he asked for.
        """
        if fields.to_tag and fields.dialog in self._core.dialogs:
            return None
        if self._acquainted(flow, now):
            return None
        if request.method == "INVITE" and self.gate is not None and self.gate.expects(request, flow):
            return None
        self._stranger = self.gate is not None and flow.transport is Transport.UDP
        registers = request.method == "REGISTER" and self._refusal(request) is None
        return None if registers else self._throttle.stranger(request, flow, now)

    # CANCEL

    def _cancel(self, key: AnyServerKey, request: Request, fields: Envelope, flow: Flow, now: float) -> list[Effect]:
        invite = server_key(request, fields, "INVITE")
        server = self._core.table.server(invite)
        user = getattr(server, "user", None)
        away = self._strangers(request, fields, flow, now) if server is None else None
        if away is not None:
            return away
        self._open(key, request, fields, flow)
        if server is None or user is None:
            # 9.2: nothing to cancel.
            return self._core.answer(key, 481)
        answer = self._core.answer(key, 200, to_tag=user.tag())
        return [*answer, *user.cancelled(invite, reason_of(request.headers))]

    # in a dialog

    def _in_dialog(self, key: AnyServerKey, request: Request, fields: Envelope, flow: Flow, now: float) -> list[Effect]:
        usage = self._core.dialogs.get(fields.dialog)
        opened = self._open(key, request, fields, flow, usage)
        if usage is None:
            # 12.2.2: also for a request that we would not serve anyway.
            return [*opened, *self._core.answer(key, 481)]
        refusal = self._refusal(request)
        if refusal is not None:
            return [*opened, *self._core.answer(key, refusal[0], refusal[1])]
        if usage.flow.id == flow.id:
            return [*opened, *self._served(usage, key, request, fields, now)]
        return [*opened, *self._from_elsewhere(usage, key, request, fields, flow, now)]

    def _from_elsewhere(
        self,
        usage: InviteUsage | Subscription,
        key: AnyServerKey,
        request: Request,
        fields: Envelope,
        flow: Flow,
        now: float,
    ) -> list[Effect]:
        """AUTH-13: another flow has to be trusted as the same endpoint, or the request must prove that it is."""
        if usage.peer is not None and self._doorkeeper.trusts(flow, usage.peer, now):
            return self._moved(usage, key, request, fields, flow, now)
        carrier = isinstance(usage, InviteUsage) and usage.carrier
        if usage.peer is None and (carrier or flow.remote[0] == usage.flow.remote[0]):
            # A trunk was let in by its address; a request too large for a datagram it sends by TCP (3261 18.1.1), and the
            # machine that answered speaks for itself: its dialog is known by Call-ID and tags (12.2.2).
            return self._served(usage, key, request, fields, now)
        username = self._doorkeeper.username(request, flow)
        if username is None:
            return self._core.answer(key, 407, self._doorkeeper.challenge(request, flow, now))
        token = InDialog(key, request, fields, flow, fields.dialog)
        return [FindRegistration(token, username, aor_of(username, self._core.config.domain))]

    def proven(self, token: InDialog, account: Account | None, now: float) -> list[Effect]:
        """The account for an in-dialog request from elsewhere has come."""
        usage = self._core.dialogs.get(token.dialog)
        challenge = self._doorkeeper.prove(token.request, account, token.flow, now, in_dialog=True)
        if challenge is not None:
            return self._core.answer(token.key, 407, challenge)
        if usage is None:
            return self._core.answer(token.key, 481)
        if account is None or account.username != usage.peer:
            return self._core.answer(token.key, 403)
        return self._moved(usage, token.key, token.request, token.envelope, token.flow, now)

    def _moved(
        self,
        usage: InviteUsage | Subscription,
        key: AnyServerKey,
        request: Request,
        fields: Envelope,
        flow: Flow,
        now: float,
    ) -> list[Effect]:
        moved = usage.move(flow)
        return [
            *moved,
            *self._served(usage, key, request, fields, now),
            *self._core.subscriptions.resumed(flow.id, now),
        ]

    def _served(
        self, usage: InviteUsage | Subscription, key: AnyServerKey, request: Request, fields: Envelope, now: float
    ) -> list[Effect]:
        if request.method == "OPTIONS" and not usage.over:
            return self._options(key, usage.flow)
        if request.method == "PUBLISH":
            # RFC 3903 section 4: it never belongs to a dialog.
            return self._core.answer(key, 405, Headers([("Allow", ", ".join(self._core.config.allow))]))
        if isinstance(usage, Subscription):
            return usage.receive(key, request, fields, now)
        if request.method != "SUBSCRIBE":
            read = described(request, self._core.config)
            if isinstance(read, Refusal):
                return self._core.answer(key, read.status, Headers([read.field]))
            return usage.receive(key, read, fields)
        implied = self._core.subscriptions.implied(fields.dialog, request.headers)
        if implied is None:
            # RFC 5057 section 5: a dialog is used again for nothing but the subscription of a REFER.
            return self._core.answer(key, 403)
        return implied.receive(key, request, fields, now)

    # outside a dialog

    def _initial(self, key: AnyServerKey, request: Request, fields: Envelope, flow: Flow, now: float) -> list[Effect]:
        if self._core.table.is_merged(merge_key(fields)):
            # 8.2.2.2: the same request came by two ways; the first is being served.
            return self._refuse(key, request, fields, flow, 482)
        refusal = self._refusal(request)
        if refusal is not None:
            return self._refuse(key, request, fields, flow, refusal[0], *refusal[1])
        if request.method in ONLY_IN_DIALOG:
            return self._stray(key, request, fields, flow, now)
        if request.method == "INVITE":
            return self._invite(key, request, fields, flow, now)
        if request.method == "SUBSCRIBE":
            return self._subscribe(key, request, fields, flow)
        if request.method != "OPTIONS":
            opened = self._open(key, request, fields, flow)
            return [*opened, Deliver(RequestReceived(key, request, flow))]
        if not self._core.config.is_ours(request.uri) and self._known(flow, now) is None:
            if flow.transport is Transport.UDP:
                # CALL-24: a scanner learns nothing, and a forged source address gets no traffic.
                return self._throttle.seldom.note("domain-unknown", {"host": request.uri.host, "flow": flow.id}, now)
            warning = self._core.warning("domain-unknown", f"{request.uri.host} is not served here")
            return self._refuse(key, request, fields, flow, 404, warning)
        return [*self._open(key, request, fields, flow), *self._options(key, flow)]

    def _invite(self, key: AnyServerKey, request: Request, fields: Envelope, flow: Flow, now: float) -> list[Effect]:
        if (request.headers.get("Max-Forwards") or "").strip() == "0":
            # CALL-17: a call through us is a hop.
            return self._refuse(key, request, fields, flow, 483)
        read = initial(request, self._core.config)
        if isinstance(read, Refusal):
            return self._refuse(key, request, fields, flow, read.status, read.field)
        if SessionTimer(0, self._core.config.min_se, False).too_small(request):
            return self._refuse(key, request, fields, flow, 422, *self._core.min_se())
        peer = self._doorkeeper.speaker(request, flow, now) or self._registrar.peer(flow.id)
        away = self.gate.turn_away(request, flow, peer is not None) if self.gate is not None else None
        if away is not None:
            return self._turn_away(key, request, fields, flow, away)
        usage = IncomingInvite(self._core, key, read, fields, flow, peer)
        return [*self._open(key, request, fields, flow, usage), *usage.start()]

    def _stray(self, key: AnyServerKey, request: Request, fields: Envelope, flow: Flow, now: float) -> list[Effect]:
        """A request that makes sense in a dialog only. Some phones keep their flow alive by NOTIFY."""
        event = read_event(request.headers)
        if request.method == "NOTIFY" and event is not None and event.package == "keep-alive":
            if self._known(flow, now):
                return self._refuse(key, request, fields, flow, 200)
            if flow.transport is Transport.UDP:
                return self._throttle.seldom.note("unknown-flow", {"flow": flow.id}, now)
        return self._refuse(key, request, fields, flow, 481)

    def _subscribe(self, key: AnyServerKey, request: Request, fields: Envelope, flow: Flow) -> list[Effect]:
        """RFC 6665 section 4.2.1.1: what can be said before it is known who asks."""
        config = self._core.config
        event = read_event(request.headers)
        if event is None or event.package not in config.events:
            return self._refuse(key, request, fields, flow, 489, ("Allow-Events", ", ".join(config.allow_events)))
        if contact_uri(request) is None:
            warning = self._core.warning("bad-contact", "SUBSCRIBE needs a Contact that can be read")
            return self._refuse(key, request, fields, flow, 400, warning)
        try:
            seconds = read_expires(request.headers, config.subscriptions)
        except PeerError as error:
            return self._refuse(key, request, fields, flow, 400, self._core.warning(error.slug, str(error)))
        if seconds is None:
            shortest = ("Min-Expires", str(config.subscriptions.expires_min))
            return self._refuse(key, request, fields, flow, 423, shortest)
        opened = self._open(key, request, fields, flow)
        return [*opened, Deliver(SubscribeReceived(key, request, flow, event.package, seconds))]

    def _turn_away(
        self, key: AnyServerKey, request: Request, fields: Envelope, flow: Flow, away: TurnedAway
    ) -> list[Effect]:
        """TRK-10: UDP silence, streams a refusal; both in the log, which names what did not match."""
        note = Note(away.slug, {"flow": flow.id, "source": flow.remote[0], "text": away.text})
        if flow.transport is Transport.UDP:
            return [note]
        return [note, *self._refuse(key, request, fields, flow, away.status, self._core.warning(away.slug, away.text))]

    def _options(self, key: AnyServerKey, flow: Flow) -> list[Effect]:
        """11.2: what we can do."""
        if self._stranger:
            # Three times what he sent is more than a forged address may be made to get.
            return self._core.answer(key, 200, Headers([("Allow", ", ".join(self._core.config.allow))]))
        fields = [*self._core.abilities(flow), ("Accept", ", ".join(self._core.config.accept))]
        return self._core.answer(key, 200, Headers(fields))

    def _acquainted(self, flow: Flow, now: float) -> bool:
        return self._registrar.carries(flow.id) or self._doorkeeper.trusted(flow, now) is not None

    def _known(self, flow: Flow, now: float) -> str | None:
        return self._doorkeeper.trusted(flow, now) or self._registrar.peer(flow.id)

    # inspection

    def _refusal(self, request: Request) -> tuple[int, Headers] | None:
        """8.2.1, 8.2.2: method, scheme, required options. None when all are served."""
        if request.uri.scheme not in SCHEMES:
            return 416, Headers()
        if request.method not in self._core.config.allow:
            status = 405 if request.method in KNOWN else 501
            return status, Headers([("Allow", ", ".join(self._core.config.allow))])
        if request.method == "INFO" and request.headers.get("Info-Package") is not None:
            # RFC 6086 section 4.2.2: no package is served, which an empty Recv-Info says.
            return 469, Headers([("Recv-Info", "")])
        if request.method == "REGISTER":
            # REG-2 has the registrar's own list.
            return None
        known = self._core.config.supported
        unknown = [tag for tag in option_tags(request.headers, "Require") if tag.lower() not in known]
        return (420, Headers([("Unsupported", ", ".join(unknown))])) if unknown else None

    # small

    def _open(
        self,
        key: AnyServerKey,
        request: Request,
        fields: Envelope,
        flow: Flow,
        usage: InviteUsage | Subscription | None = None,
    ) -> list[Effect]:
        return self._core.table.open_server(key, request, flow, merge_key(fields), usage, self._stranger)

    def _refuse(
        self,
        key: AnyServerKey,
        request: Request,
        fields: Envelope,
        flow: Flow,
        status: int,
        *extra: tuple[str, str],
    ) -> list[Effect]:
        return [*self._open(key, request, fields, flow), *self._core.answer(key, status, Headers(extra))]
