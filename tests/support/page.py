"""A browser page at the other end of the link: a WebSocket that breaks and comes back, WebRTC descriptions, a registration.

It answers what comes inside its dialogs as a library does: re-INVITE with an answer, the rest with 200.
"""

from offhook.calls import events as did
from offhook.sdp.parse import parse
from offhook.sip.commands import MoveUsage, Respond
from offhook.sip.events import DeviceReturned, RequestInDialog, SipEvent, UsageId
from offhook.sip.flow import Transport
from offhook.sip.location import Binding
from offhook.sip.message import Headers
from offhook.sip.uri import parse_uri
from tests.sdp.samples import offer_of
from tests.support.house import WITH_SDP, House, Phone
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN

OFFER = offer_of("jssip")
ANSWER = OFFER.replace(b"a=setup:actpass", b"a=setup:active")
RESTARTED = OFFER.replace(b"a=ice-ufrag:Xr5E", b"a=ice-ufrag:Zz9Q")


def answer_to(offer: bytes) -> bytes:
    """A page's answer: its audio, every further line of the offer in its place, and the offer's bundle."""
    if not offer:
        return ANSWER
    offered = parse(offer)
    lines = [line for line in ANSWER.decode().split("\r\n") if line and not line.startswith("a=group:")]
    lines.insert(lines.index("t=0 0") + 1, f"a=group:BUNDLE {' '.join(offered.bundle)}")
    for one in offered.media[1:]:
        port = 9 if one.port else 0
        lines += [f"m={one.kind} {port} {one.protocol} {' '.join(one.raw_formats)}", "c=IN IP4 0.0.0.0"]
        lines += [f"a=mid:{one.mid}", "a=inactive"]
    return ("\r\n".join(lines) + "\r\n").encode()


class Page(Phone):
    """One page; `instance` is "" for a library that has none."""

    def __init__(self, house: House, username: str, name: str = "", instance: str = "<urn:uuid:1>") -> None:
        super().__init__(house, name or username, username, Transport.WSS, f"sip:{name or username}@x1.invalid")
        self.instance = instance
        self.answers_requests = True
        self.station.on_event = self._hear
        self.sign_in()

    def sign_in(self) -> None:
        """REGISTER on the present connection, as call control hears of it."""
        aor, node = f"sip:{self.username}@{DOMAIN}", self.house.node
        binding = Binding(
            aor, parse_uri(self.contact), self.back, f"reg-{self.name}", 1, 1e9, instance=self.instance or None
        )
        others = tuple(one for one in node.bindings.get(aor, ()) if one.contact != binding.contact)
        node.bindings[aor] = (*others, binding)
        self.trust()
        self.house.apply(lambda: node.tell(DeviceReturned(aor, self.username, binding)))

    def lose(self, left: bool = False, keeps: bool = False) -> None:
        """The connection breaks; `left`: the page closed it with 1001, `keeps`: the library waits for what is under way."""
        link, node = self.house.link, self.house.node
        self.forget_binding()
        for end in (self.there.id, self.back.id):
            link._ends.pop(end, None)
        if not keeps:
            self.station.apply(self.station.node.flow_lost(self.there.id, link.now))
        self.house.station.apply(node.flow_lost(self.back.id, link.now, left))
        link.run(0.05)

    def forget_binding(self) -> None:
        """REG-12."""
        node, aor = self.house.node, f"sip:{self.username}@{DOMAIN}"
        node.bindings[aor] = tuple(one for one in node.bindings.get(aor, ()) if one.flow.id != self.back.id)

    def reconnect(self, *usages: UsageId, register: bool = True) -> None:
        """A new connection; the library goes on with these dialogs (its own call, if none is named) and registers."""
        link = self.house.link
        self.there, self.back = link.connect(self.station, self.house.station, Transport.WSS)
        for usage in usages or (self.call,):
            self.station.perform(MoveUsage(usage, self.there.id))
        if register:
            self.sign_in()
        link.run(0.05)

    def dial_page(self, user: str, **headers: str) -> None:
        """INVITE with a browser's offer."""
        self.dial(user, OFFER, **headers)

    def _hear(self, event: SipEvent) -> None:
        if not isinstance(event, RequestInDialog) or not self.answers_requests:
            return
        renegotiates = event.request.method == "INVITE"
        answer = answer_to(event.request.body) if renegotiates else b""
        self.station.perform(Respond(event.transaction, 200, WITH_SDP if renegotiates else Headers(), answer))

    # ---- what the engine hears of it

    def heard(self, leg: int) -> None:
        """Its sound comes."""
        self.house.apply(lambda: self.house.node.tell(did.FirstMedia(leg, 20)))

    def silent(self, leg: int) -> None:
        """Its sound has stopped."""
        self.house.apply(lambda: self.house.node.tell(did.MediaStopped(leg, 5000)))


def talking(house: House) -> tuple[Page, Phone]:
    """Alice's page talks to Bob's phone, and is heard."""
    alice, bob = Page(house, "alice"), house.callee()
    alice.dial_page("bob")
    bob.respond(200, SDP)
    leg = house.call().caller
    assert leg.media is not None
    alice.heard(leg.media.leg)
    house.link.steps.clear()
    return alice, bob
