"""MSG-1: texts out of and in a dialog, forked, in time, kept or refused."""

import pytest

from offhook.sip.commands import Respond, SendInDialog, SendRequest
from offhook.sip.events import DeviceReturned, RequestInDialog, RequestReceived, RequestSettled
from offhook.sip.flow import Transport
from offhook.sip.location import Binding
from offhook.sip.message import Headers, Request, Response
from offhook.sip.uri import parse_uri
from tests.support.carriers import TrunkHouse
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN

PLAIN = Headers([("Content-Type", "text/plain;charset=utf-8"), ("Subject", "tea"), ("X-Secret", "no")])


def say(phone: Phone, to: str, body: bytes = b"hello", headers: Headers = PLAIN, from_: str = "") -> None:
    """MESSAGE outside a dialog."""
    from_ = from_ or f"<sip:{phone.username}@{DOMAIN}>"
    to_uri = f"sip:{to}" if "@" in to else f"sip:{to}@{DOMAIN}"
    command = SendRequest("said", "MESSAGE", phone.there.id, parse_uri(to_uri), from_, f"<{to_uri}>", headers, body)
    phone.station.perform(command)
    phone.house.link.run(0.1)


def take(phone: Phone, status: int = 200) -> None:
    """The device answers the last MESSAGE."""
    event = phone.station.of(RequestReceived)[-1]
    assert isinstance(event, RequestReceived)
    phone.station.perform(Respond(event.transaction, status))
    phone.house.link.run(0.1)


def settled(phone: Phone) -> Response:
    """What the sender got."""
    event = phone.station.of(RequestSettled)[-1]
    assert isinstance(event, RequestSettled)
    assert event.response is not None
    return event.response


def slug(response: Response) -> str:
    return (response.headers.get("Warning") or '399 x "').split('"')[1].split(" ")[0]


def published(house: House) -> list[str]:
    return [one.type for one in house.node.published if one.type.startswith("message.")]


@pytest.mark.ladder
def test_a_text_goes_to_every_device_and_the_first_that_takes_it_counts(link: Link) -> None:
    house = House(link)
    alice, one, two = house.caller(), house.callee(), house.callee("bob", "bobtwo")
    say(alice, "bob")
    assert one.got("MESSAGE")[0].body == two.got("MESSAGE")[0].body == b"hello"
    assert alice.answers("MESSAGE") == []
    take(two)
    assert settled(alice).status == 200
    take(one, 486)
    assert len(alice.answers("MESSAGE")) == 1
    assert published(house) == ["message.delivered"]
    house.assert_nothing_left(alice, one, two)
    assert len(house.node.switchboard._texts) == 0


def test_what_crosses_and_what_does_not(link: Link) -> None:
    """CALL-19, CALL-20: own identity for each side, body unread."""
    house = House(link)
    alice, bob = house.caller(), house.callee()
    cpim = b"From: <im:x@y>\r\n\r\nContent-Type: text/plain\r\n\r\nhi \xff"
    say(alice, "bob", cpim, Headers([("Content-Type", "message/cpim"), ("Subject", "tea"), ("X-Secret", "no")]))
    came = bob.got("MESSAGE")[0]
    assert came.body == cpim
    assert (came.headers.get("Content-Type"), came.headers.get("Subject")) == ("message/cpim", "tea")
    assert came.headers.get("X-Secret") is None
    assert came.headers.get("Max-Forwards") == "69"
    sent = next(m for m in alice.station.sent if isinstance(m, Request))
    assert came.headers.get("Call-ID") != sent.headers.get("Call-ID")
    assert (came.headers.get("From") or "").startswith(f"<sip:alice@{DOMAIN}>")


def test_a_withheld_name_stays_withheld(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    say(alice, "bob", from_="<sip:anonymous@anonymous.invalid>")
    assert "alice" not in (bob.got("MESSAGE")[0].headers.get("From") or "")


def test_nobody_takes_it_within_four_seconds(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    say(alice, "bob")
    link.run(3.8)
    assert alice.answers("MESSAGE") == []
    link.run(0.3)
    assert (settled(alice).status, slug(settled(alice))) == (480, "text-not-delivered")
    take(bob)
    assert len(alice.answers("MESSAGE")) == 1, "too late"
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize("status", [415, 486, 603])
def test_every_device_refuses(link: Link, status: int) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    say(alice, "bob")
    take(bob, status)
    assert settled(alice).status == 480
    assert f"answers {status}" in (settled(alice).headers.get("Warning") or "")
    house.assert_nothing_left(alice, bob)


def test_no_device_is_there(link: Link) -> None:
    house = House(link)
    alice = house.caller()
    say(alice, "bob")
    assert (settled(alice).status, slug(settled(alice))) == (480, "text-not-delivered")
    assert "bob has no device here" in (settled(alice).headers.get("Warning") or "")


@pytest.mark.parametrize(
    ("to", "body", "headers", "status", "code"),
    [
        ("nobody", b"x", PLAIN, 404, "destination-unknown"),
        ("bob@elsewhere.example", b"x", PLAIN, 404, "domain-unknown"),
        ("bob", b"x" * 8193, PLAIN, 413, "text-too-large"),
        ("bob", b"x", Headers([("Content-Type", "image/png")]), 415, "text-type-not-served"),
        ("bob", b"x", Headers(), 415, "text-type-not-served"),
    ],
)
def test_refusals_in_words(link: Link, to: str, body: bytes, headers: Headers, status: int, code: str) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    say(alice, to, body, headers)
    assert (settled(alice).status, slug(settled(alice))) == (status, code)
    assert bob.got("MESSAGE") == []
    if status == 415:
        assert "text/*" in (settled(alice).headers.get("Accept") or "")


def test_who_has_not_proved_himself_is_challenged(link: Link) -> None:
    house = House(link)
    stranger, bob = house.callee("carol"), house.callee()
    say(stranger, "bob")
    assert settled(stranger).status == 407
    assert bob.got("MESSAGE") == []


def test_from_must_be_ones_own(link: Link) -> None:
    house = House(link)
    alice = house.caller()
    say(alice, "bob", from_=f"<sip:carol@{DOMAIN}>")
    assert (settled(alice).status, slug(settled(alice))) == (403, "from-not-yours")


def test_more_than_the_rate(link: Link) -> None:
    """TEXT_RATE: five a second, ten at once."""
    house = House(link)
    alice, bob = house.caller(), house.callee()
    say(alice, "bob")
    sent = alice.station.of(RequestSettled)
    assert sent == []
    for _ in range(10):
        uri = parse_uri(f"sip:bob@{DOMAIN}")
        from_, to = f"<sip:alice@{DOMAIN}>", f"<sip:bob@{DOMAIN}>"
        alice.station.perform(SendRequest("more", "MESSAGE", alice.there.id, uri, from_, to, PLAIN, b"x"))
    link.run(0.05)
    assert (settled(alice).status, slug(settled(alice))) == (503, "text-rate-exceeded")
    assert settled(alice).headers.get("Retry-After") == "1"
    assert len(bob.got("MESSAGE")) == 10


def test_too_long_for_udp(link: Link) -> None:
    """RFC 3428 section 8: no MESSAGE above 1300 octets goes over UDP; other devices still get it."""
    house = House(link)
    alice, udp, tls = house.caller(), house.callee(), house.callee("bob", "bobtls", Transport.TLS)
    say(alice, "bob", b"x" * 2000)
    assert udp.got("MESSAGE") == []
    take(tls)
    assert settled(alice).status == 200
    only = house.callee("carol")
    say(alice, "carol", b"x" * 2000)
    assert "by UDP" in (settled(alice).headers.get("Warning") or "")
    assert only.got("MESSAGE") == []


def binding_of(phone: Phone) -> Binding:
    return Binding(f"sip:{phone.username}@{DOMAIN}", parse_uri(phone.contact), phone.back, "reg", 1, 1e9)


def test_kept_texts_wait_for_a_device(link: Link) -> None:
    """202, and the text is delivered when a device registers; once taken it is gone."""
    house = House(link, store_texts=True)
    alice = house.caller()
    say(alice, "bob", b"first")
    say(alice, "bob", b"second")
    assert settled(alice).status == 202
    assert published(house) == ["message.stored", "message.stored"]
    bob = house.callee()
    house.apply(lambda: house.node.tell(DeviceReturned(f"sip:bob@{DOMAIN}", "bob", binding_of(bob))))
    assert [one.body for one in bob.got("MESSAGE")] == [b"first", b"second"]
    first, second = bob.station.of(RequestReceived)
    assert isinstance(first, RequestReceived)
    assert isinstance(second, RequestReceived)
    bob.station.perform(Respond(first.transaction, 200))
    bob.station.perform(Respond(second.transaction, 486))
    link.run(0.1)
    assert [text.body for text in house.node.texts.values()] == [b"second"], "what was refused stays"


def test_a_text_taken_after_it_was_kept_comes_only_once(link: Link) -> None:
    house = House(link, store_texts=True)
    alice, bob = house.caller(), house.callee()
    say(alice, "bob")
    link.run(5)
    assert settled(alice).status == 202
    assert len(house.node.texts) == 1
    take(bob)
    assert house.node.texts == {}


@pytest.mark.ladder
def test_in_a_dialog_it_goes_to_the_other_side_of_the_call(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    alice.station.perform(SendInDialog(alice.call, "MESSAGE", PLAIN, b"in the call"))
    link.run(0.1)
    event = bob.station.of(RequestInDialog)[-1]
    assert isinstance(event, RequestInDialog)
    assert event.request.body == b"in the call"
    bob.station.perform(Respond(event.transaction, 202))
    link.run(0.1)
    assert [answer.status for answer in alice.answers("MESSAGE")] == [202]
    bob.station.perform(SendInDialog(bob.ringing, "MESSAGE", PLAIN, b"back"))
    link.run(0.1)
    back = alice.station.of(RequestInDialog)[-1]
    assert isinstance(back, RequestInDialog)
    alice.station.perform(Respond(back.transaction, 501))
    link.run(0.1)
    assert [answer.status for answer in bob.answers("MESSAGE")] == [501]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def text_in(phone: Phone) -> RequestInDialog:
    """The newest text that the phone has in its call."""
    event = phone.station.of(RequestInDialog)[-1]
    assert isinstance(event, RequestInDialog)
    return event


def finals(phone: Phone) -> list[int]:
    return [answer.status for answer in phone.answers("MESSAGE") if answer.status >= 200]


def test_in_a_dialog_nobody_answers_it_within_four_seconds(link: Link) -> None:
    """MSG-1 holds in a dialog too."""
    house = House(link)
    alice, bob = house.talking()
    alice.station.perform(SendInDialog(alice.call, "MESSAGE", PLAIN, b"are you there?"))
    link.run(2)
    alice.station.perform(SendInDialog(alice.call, "MESSAGE", PLAIN, b"and now?"))
    link.run(1.9)
    # 1. one at a time: the second waits for what becomes of the first
    assert (text_in(bob).request.body, finals(alice)) == (b"are you there?", [])
    # 2. the sender of the first is told
    link.run(0.3)
    assert finals(alice) == [480]
    assert "text-not-delivered" in (alice.answers("MESSAGE")[-1].headers.get("Warning") or "")
    # 3. an answer that comes after that is nobody's; the second goes out and is answered for itself
    bob.station.perform(Respond(text_in(bob).transaction, 200))
    link.run(0.1)
    assert text_in(bob).request.body == b"and now?"
    bob.station.perform(Respond(text_in(bob).transaction, 202))
    link.run(0.1)
    assert finals(alice) == [480, 202]
    # 4. one that has waited too long is not sent at all
    for body in (b"out", b"late"):
        alice.station.perform(SendInDialog(alice.call, "MESSAGE", PLAIN, body))
    link.run(4.2)
    bob.station.perform(Respond(text_in(bob).transaction, 200))
    link.run(0.1)
    assert (text_in(bob).request.body, finals(alice)) == (b"out", [480, 202, 480, 480])
    assert house.node.switchboard._texts._inside == {}
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_in_a_dialog_with_a_built_in_nobody_reads(link: Link) -> None:
    house = House(link)
    alice = house.caller()
    alice.dial("echo")
    alice.station.perform(SendInDialog(alice.call, "MESSAGE", PLAIN, b"hello?"))
    link.run(0.1)
    assert [answer.status for answer in alice.answers("MESSAGE")] == [480]


@pytest.mark.parametrize(("takes", "status"), [(False, 480), (True, 200)])
def test_a_trunk_gets_texts_only_if_it_says_so(link: Link, takes: bool, status: int) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier("198.51.100.1")
    house.trunk(targets=[{"uri": "sip:198.51.100.1"}], allowed_prefixes=["+1"], accept_messages=takes)
    alice = house.caller()
    alice.dial("+14155550123")
    carrier.respond(200, SDP)
    alice.station.perform(SendInDialog(alice.call, "MESSAGE", PLAIN, b"hello"))
    link.run(0.1)
    for event in carrier.station.of(RequestInDialog):
        assert isinstance(event, RequestInDialog)
        carrier.station.perform(Respond(event.transaction, 200))
    link.run(0.1)
    assert alice.answers("MESSAGE")[-1].status == status
    assert bool(carrier.got("MESSAGE")) is takes
