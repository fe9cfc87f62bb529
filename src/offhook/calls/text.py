"""Texts by MESSAGE (MSG-1, RFC 3428): sent to every device of the callee, settled by the first that takes it.

Lives here: one text from its sender to devices, now or when one returns. Never here: what it says; bodies pass unread.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

from offhook.calls.call import Call, CallConfig, Effects
from offhook.calls.effects import DropText, FindTexts, Happened, KeepText, KeptText, Publish, Sip, StartTimer, StopTimer
from offhook.calls.events import TextsFound
from offhook.calls.leg import Leg, TextInside
from offhook.calls.outcome import refusal
from offhook.calls.outside import Asked
from offhook.calls.passing import ANONYMOUS
from offhook.calls.text_out import TextsOut
from offhook.sip.commands import Respond, SendInDialog, SendRequest
from offhook.sip.domains import aor_of
from offhook.sip.events import DeviceReturned, RequestAnswered, RequestInDialog, RequestSettled
from offhook.sip.fields import parse_name_addr, quote, warning
from offhook.sip.flow import FlowId, Transport
from offhook.sip.ids import Ids
from offhook.sip.location import Account, Binding
from offhook.sip.message import Headers, Request
from offhook.sip.rate import ENDPOINTS, Rates
from offhook.sip.uri import Uri

PATIENCE = 4.0
"""Seconds a sender waits for the first device (MSG-1): his own transaction gives up after 32."""
DATAGRAM = 1300
"""Octets of a MESSAGE over UDP (RFC 3428 section 8)."""
ENVELOPE = 450
"""Octets that Via, From, To, Call-ID and their like take."""

CROSSING = (
    "Content-Type", "Content-Disposition", "Content-Encoding", "Content-Language", "Subject", "Priority", "Date",
    "In-Reply-To",
)  # fmt: skip
"""Fields that go with a text."""

ACCEPT = "text/*, message/cpim, message/imdn+xml, application/im-iscomposing+xml"
_TYPES = frozenset({"message/cpim", "message/imdn+xml", "application/im-iscomposing+xml"})


@dataclass(frozen=True, slots=True)
class TextPatience:
    """No device has taken the text in time."""

    ref: str


@dataclass(frozen=True, slots=True)
class Branch:
    """Token of one device's MESSAGE. `kept` is a text that waited for it."""

    ref: str
    device: str
    kept: bool = False


@dataclass(slots=True, eq=False)
class Text:
    """One text under way. `waiting` are the devices that have not answered; `told` once its sender has been answered."""

    text: KeptText
    transaction: Hashable
    sender: Account
    waiting: set[str] = field(default_factory=set)
    said: str = ""
    told: bool = False
    kept: bool = False


class Texts:
    """Owned by the switchboard. A text lives here until every device has answered, at most 32 s."""

    def __init__(self, config: CallConfig, ids: Ids) -> None:
        self._config = config
        self._ids = ids
        self._rates = Rates(config.text_rate, 2 * config.text_rate, ENDPOINTS)
        self._texts: dict[str, Text] = {}
        self._inside: dict[str, tuple[Hashable, Leg]] = {}
        """Texts in dialogs that nobody has answered yet: the transactions of their senders, and to whom they go."""
        self.out: TextsOut | None = None
        """The way to numbers, if there is one."""

    def __len__(self) -> int:
        return len(self._texts)

    # ---- from a sender

    def asked(self, asked: Asked, now: float) -> Effects:
        """See outside.Room."""
        request = asked.event.request
        refused = self._refused(asked, request, now)
        if refused:
            return refused
        outside = self.out.take(asked) if self.out is not None and asked.callee is None else None
        if outside is not None:
            return outside
        if asked.callee is None or not asked.callee.enabled:
            name = asked.destination.user
            return asked.refused(refusal("destination_unknown", f"Nobody here is called {name}"), self._config.domain)
        devices = asked.bindings
        if asked.destination.gruu is not None:
            devices = tuple(one for one in devices if asked.destination.gruu.means(one))
        return self._deliver(asked.transaction, request, asked.sender, asked.callee.username, devices)

    def _refused(self, asked: Asked, request: Request, now: float) -> Effects:
        domain, size = self._config.domain, len(request.body)
        if (request.headers.get("Max-Forwards") or "").strip() == "0":
            return [Sip(Respond(asked.transaction, 483))]
        if size > self._config.text_max:
            text = f"The text has {size} octets; limits.text_max is {self._config.text_max}"
            return asked.refused(refusal("text_too_large", text), domain)
        kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if request.body and not kind.startswith("text/") and kind not in _TYPES:
            outcome = refusal("text_type_not_served", f"{kind or 'A body without Content-Type'} is no text")
            return asked.refused(outcome, domain, ("Accept", ACCEPT))
        if not self._rates.allow(asked.sender.username, now):
            return asked.refused(refusal("text_rate_exceeded"), domain, ("Retry-After", "1"))
        return []

    def _deliver(
        self, transaction: Hashable, request: Request, sender: Account, to: str, devices: tuple[Binding, ...]
    ) -> Effects:
        text = Text(self._written(request, sender, to), transaction, sender)
        self._texts[text.text.ref] = text
        sent = [effect for device in devices for effect in self._send(text, device, request)]
        if not text.waiting:
            text.said = text.said or f"{to} has no device here"
            return self._undelivered(text)
        return [*sent, StartTimer(TextPatience(text.text.ref), PATIENCE)]

    def _written(self, request: Request, sender: Account, to: str) -> KeptText:
        given = parse_name_addr(request.headers.get("From") or "")
        name = sender.caller_id or given.display
        if given.uri.unescaped_user.casefold() == "anonymous" or given.uri.host == "anonymous.invalid":
            from_ = ANONYMOUS
        else:
            from_ = f"{quote(name) + ' ' if name else ''}<{aor_of(sender.username, self._config.domain)}>"
        passed = tuple((field, value) for field, value in request.headers if field in CROSSING)
        return KeptText(self._ids.ref(), to, from_, passed, request.body)

    def _send(self, text: Text, device: Binding, request: Request) -> Effects:
        size = ENVELOPE + len(request.body) + sum(len(value) for _, value in text.text.fields)
        if device.flow.transport is Transport.UDP and size > DATAGRAM:
            text.said = f"{text.text.to}'s device is reached by UDP, and the text is too long for that"
            return []
        name = f"{device.flow.id} {device.contact}"
        text.waiting.add(name)
        hops = (request.headers.get("Max-Forwards") or "").strip()
        left = int(hops) - 1 if hops.isascii() and hops.isdigit() and len(hops) < 4 else 69
        return [self._message(Branch(text.text.ref, name), text.text, device.flow.id, device.contact, left)]

    def _message(self, token: Branch, text: KeptText, flow: FlowId, contact: Uri, hops: int) -> Sip:
        to = f"<{aor_of(text.to, self._config.domain)}>"
        headers = Headers(text.fields)
        return Sip(SendRequest(token, "MESSAGE", flow, contact, text.from_, to, headers, text.body, hops))

    # ---- what devices say

    def settled(self, event: RequestSettled, now: float) -> Effects:
        """A device has answered, or never will."""
        branch = event.token
        assert isinstance(branch, Branch)
        taken = event.response is not None and event.response.status < 300
        if branch.kept:
            return [DropText(branch.ref)] if taken else []
        text = self._texts.get(branch.ref)
        if text is None:
            return []
        text.waiting.discard(branch.device)
        if event.response is not None and not taken:
            text.said = f"{text.text.to}'s device answers {event.response.status} {event.response.reason}"
        if not text.waiting:
            del self._texts[branch.ref]
        if taken:
            return self._taken(text)
        return self._undelivered(text) if not text.waiting and not text.told else []

    def _taken(self, text: Text) -> Effects:
        if text.told:
            # It came after the sender had been told that it is kept: it must not come twice.
            return [DropText(text.text.ref)] if text.kept else []
        text.told = True
        stop = StopTimer(TextPatience(text.text.ref))
        return [stop, Sip(Respond(text.transaction, 200)), self._happened(text, "message.delivered")]

    def impatient(self, key: TextPatience) -> Effects:
        """MSG-1: nobody took it within four seconds."""
        if key.ref in self._inside:
            transaction, leg = self._inside.pop(key.ref)
            # The one that is out stays: its answer, or that there is none, is still to come.
            leg.texts = [one for number, one in enumerate(leg.texts) if number == 0 or one.ref != key.ref]
            outcome = refusal("text_not_delivered", "The other side does not answer")
            return [Sip(Respond(transaction, outcome.status, outcome.headers(self._config.domain)))]
        text = self._texts.get(key.ref)
        if text is None or text.told:
            return []
        text.said = text.said or f"{text.text.to}'s device does not answer"
        return self._undelivered(text)

    def _undelivered(self, text: Text) -> Effects:
        """Kept for later, or refused."""
        text.told = True
        if not text.waiting:
            self._texts.pop(text.text.ref, None)
        stop = StopTimer(TextPatience(text.text.ref))
        if self._config.store_texts:
            text.kept = True
            accepted = Sip(Respond(text.transaction, 202))
            return [stop, KeepText(text.text), accepted, self._happened(text, "message.stored")]
        outcome = refusal("text_not_delivered", text.said)
        refused = Sip(Respond(text.transaction, outcome.status, outcome.headers(self._config.domain)))
        return [stop, refused, self._happened(text, "message.refused")]

    def _happened(self, text: Text, type_: str) -> Publish:
        kind = next((value for name, value in text.text.fields if name == "Content-Type"), "")
        details = {
            "id": text.text.ref,
            "from": text.sender.username,
            "to": text.text.to,
            "content_type": kind,
            "octets": str(len(text.text.body)),
        }
        if type_ != "message.delivered":
            details["why"] = text.said
        return Publish(Happened(type_, "", "", tuple(details.items())))

    # ---- kept ones

    def returned(self, event: DeviceReturned) -> Effects:
        """A device has registered or refreshed: is anything kept for it?"""
        if not self._config.store_texts:
            return []
        return [FindTexts(event.username, event.binding)]

    def found(self, event: TextsFound) -> Effects:
        """What is kept goes to the device that has come; what it takes is dropped."""
        binding = event.binding
        return [
            self._message(Branch(text.ref, binding.flow.id, kept=True), text, binding.flow.id, binding.contact, 70)
            for text in event.texts
        ]

    # ---- in a dialog

    def in_dialog(self, call: Call, leg: Leg, event: RequestInDialog, now: float) -> Effects:
        """A text in a call goes to the other side, in its dialog; that side's answer is the answer, if it comes in time."""
        peer = call.peer_of(leg)
        takes = peer is not None and (peer.trunk is None or peer.trunk.accept_messages)
        if leg.account is None or peer is None or peer.detached or not takes:
            outcome = refusal("text_not_delivered", "The other side of the call takes no texts now")
            return [Sip(Respond(event.transaction, outcome.status, outcome.headers(self._config.domain)))]
        if len(event.request.body) > self._config.text_max or not self._rates.allow(leg.account.username, now):
            code = "text_rate_exceeded" if len(event.request.body) <= self._config.text_max else "text_too_large"
            outcome = refusal(code)
            return [Sip(Respond(event.transaction, outcome.status, outcome.headers(self._config.domain)))]
        passed = Headers((name, value) for name, value in event.request.headers if name in CROSSING)
        text = TextInside(self._ids.ref(), passed, event.request.body)
        self._inside[text.ref] = event.transaction, peer
        peer.texts.append(text)
        # One at a time (RFC 3428 section 8): an answer says nothing of which it belongs to.
        sent = _send_inside(peer) if len(peer.texts) == 1 else []
        return [*sent, StartTimer(TextPatience(text.ref), PATIENCE)]

    def answered(self, leg: Leg, event: RequestAnswered) -> Effects:
        """The other side has answered a text in its dialog."""
        if not leg.texts:
            return []
        ref = leg.texts.pop(0).ref
        following = _send_inside(leg) if leg.texts else []
        if ref not in self._inside:
            return following
        transaction, _ = self._inside.pop(ref)
        status = 480 if event.response is None else event.response.status
        said = "The other side does not answer" if event.response is None else f"The other side answers {status}"
        fields = [] if status < 300 else [("Warning", warning(self._config.domain, "text-not-delivered", said))]
        return [StopTimer(TextPatience(ref)), Sip(Respond(transaction, status, Headers(fields))), *following]


def _send_inside(leg: Leg) -> Effects:
    text = leg.texts[0]
    return [Sip(SendInDialog(leg.usage, "MESSAGE", text.fields, text.body))]
