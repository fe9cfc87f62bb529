"""Section 7: one press, one digit, by whatever way each side knows (DTMF-1 to DTMF-5).

The sound of a digit is the engine's (crates/media/tests/digits.rs); here the engine says what it hears and is told what to
send.
"""

from dataclasses import replace

import pytest

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.commands import PressDigits
from offhook.sip.commands import Respond, RespondInvite, SendInDialog
from offhook.sip.events import RequestInDialog
from offhook.sip.message import Headers, Request
from tests.support.house import WITH_SDP, House, Phone
from tests.support.link import Link

SPEECH = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
NO_EVENTS = SPEECH + b"m=audio 4000 RTP/AVP 0\r\n"
EVENTS = SPEECH + b"m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
RELAY = Headers([("Content-Type", "application/dtmf-relay")])


class Pressing:
    """Alice and Bob talk; each with or without telephone-event and INFO."""

    def __init__(self, link: Link, alice: str, bob: str, dtmf: str = "auto") -> None:
        self.link, self.house = link, House(link)
        if dtmf != "auto":
            self.house.node.accounts["bob"] = replace(self.house.node.accounts["bob"], dtmf=dtmf)
        self.alice, self.bob = self.house.caller(), self.house.callee()
        self.says(self.alice, alice)
        self.says(self.bob, bob)
        self.alice.dial("bob", EVENTS if alice == "event" else NO_EVENTS)
        body = EVENTS if bob == "event" else NO_EVENTS
        self.bob.station.perform(RespondInvite(self.bob.ringing, 200, WITH_SDP, body))
        link.run(0.1)
        told = self.house.media.told
        self.completed = [one for one in told if isinstance(one, do.CompleteMedia) and one.leg == self.leg(self.bob)]
        told.clear()

    @staticmethod
    def says(phone: Phone, kind: str) -> None:
        """Without INFO in Allow a peer takes none (DTMF-5)."""
        core = phone.device._endpoint._core
        allow = tuple(name for name in core.config.allow if kind != "audio" or name != "INFO")
        core.config = replace(core.config, allow=allow)

    def leg(self, phone: Phone) -> int:
        """The engine's number of a phone's leg."""
        call = self.house.call()
        leg = call.caller if phone is self.alice else call.winner
        assert leg is not None
        assert leg.media is not None
        return leg.media.leg

    def hears(self, phone: Phone, digit: str = "5", ms: int = 160, method: str = "rfc4733") -> None:
        """The engine hears a press of a phone."""
        self.house.apply(lambda: self.house.node.tell(did.DigitPressed(self.leg(phone), digit, ms, method)))

    def info(self, phone: Phone, body: bytes = b"Signal=5\r\nDuration=160\r\n", headers: Headers = RELAY) -> int:
        """A phone's INFO and the status it gets."""
        usage = phone.call if phone is self.alice else phone.ringing
        count = len(phone.answers("INFO"))
        phone.station.perform(SendInDialog(usage, "INFO", headers, body))
        self.link.run(0.1)
        assert len(phone.answers("INFO")) == count + 1
        return phone.answers("INFO")[-1].status

    def told(self, phone: Phone) -> list[tuple[str, int]]:
        """Digits the engine is told to send to a phone."""
        sent = [one for one in self.house.media.told if isinstance(one, do.SendDigits) and one.leg == self.leg(phone)]
        return [(one.digits, one.each_ms) for one in sent]

    def infos(self, phone: Phone) -> list[bytes]:
        """Bodies of INFO that came to a phone."""
        return [one.body for one in phone.got("INFO")]

    @property
    def in_audio(self) -> bool:
        """Whether the engine may put digits into Bob's audio."""
        return not self.completed[-1].remote.digits_elsewhere


BY_INFO = [b"Signal=5\r\nDuration=160\r\n"]


@pytest.mark.parametrize(
    ("source", "sink", "told", "infos", "in_audio"),
    [
        ("event", "event", [], [], True),
        ("event", "info", [], BY_INFO, False),
        ("event", "audio", [], [], True),
        ("info", "event", [("5", 160)], [], True),
        ("info", "info", [], BY_INFO, False),
        ("info", "audio", [("5", 160)], [], True),
        ("audio", "event", [], [], True),
        ("audio", "info", [], BY_INFO, False),
        ("audio", "audio", [], [], True),
    ],
)
def test_nine_cells(
    link: Link, source: str, sink: str, told: list[tuple[str, int]], infos: list[bytes], in_audio: bool
) -> None:
    """Where neither is told anything the engine has passed the event or the sound on by itself."""
    call = Pressing(link, source, sink)
    assert call.in_audio is in_audio
    if source == "info":
        assert call.info(call.alice) == 200
    else:
        call.hears(call.alice, method="rfc4733" if source == "event" else "inband")
    assert call.told(call.bob) == told
    assert call.infos(call.bob) == infos
    digits = [dict(one.details) for one in call.house.node.published if one.type == "call.digit"]
    method = {"event": "rfc4733", "info": "info", "audio": "inband"}[source]
    assert digits == [{"digit": "5", "ms": "160", "method": method}], "told to the API, with time and source (DTMF-4)"


@pytest.mark.parametrize(("dtmf", "offered"), [("auto", True), ("rfc4733", True), ("info", False), ("inband", False)])
def test_what_is_set_decides_what_is_offered(link: Link, dtmf: str, offered: bool) -> None:
    """DTMF-5."""
    call = Pressing(link, "event", "event", dtmf)
    assert (b"telephone-event" in call.bob.invite.body) is offered


@pytest.mark.parametrize(
    ("dtmf", "infos", "told"), [("info", BY_INFO, []), ("inband", [], [("5", 160)]), ("rfc4733", [], [("5", 160)])]
)
def test_what_is_set_decides_the_way(link: Link, dtmf: str, infos: list[bytes], told: list[tuple[str, int]]) -> None:
    """DTMF-5: whatever Allow says."""
    call = Pressing(link, "info", "info", dtmf)
    call.info(call.alice)
    assert (call.infos(call.bob), call.told(call.bob)) == (infos, told)


def test_an_endpoint_that_wants_info_is_answered_without_events(link: Link) -> None:
    house = House(link)
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], dtmf="info")
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", EVENTS)
    bob.respond(200, EVENTS)
    assert b"telephone-event" not in alice.final().body


def test_one_press_by_two_methods_is_one_digit(link: Link) -> None:
    """DTMF-1."""
    call = Pressing(link, "event", "info")
    call.info(call.alice)
    call.hears(call.alice)
    assert call.infos(call.bob) == BY_INFO
    call.link.run(1)
    call.hears(call.alice)
    assert len(call.infos(call.bob)) == 2, "a second press is a second digit"


def test_info_owns_the_leg_so_the_engine_stops_listening(link: Link) -> None:
    """DTMF-1: the engine is told."""
    call = Pressing(link, "audio", "event")
    assert call.house.media.open[call.leg(call.alice)].detect_digits
    call.info(call.alice)
    updates = [one for one in call.house.media.told if isinstance(one, do.UpdateMedia)]
    assert [(one.leg, one.offer.detect_digits) for one in updates] == [(call.leg(call.alice), False)]
    call.info(call.alice)
    assert len([one for one in call.house.media.told if isinstance(one, do.UpdateMedia)]) == 1


FLASH = b"Signal=16\r\nDuration=300\r\n"


@pytest.mark.parametrize(
    ("sink", "dtmf", "infos"),
    [("info", "auto", [FLASH]), ("event", "auto", [FLASH]), ("audio", "auto", []), ("event", "rfc4733", [])],
)
def test_a_flash_is_taken_and_reaches_who_takes_info(link: Link, sink: str, dtmf: str, infos: list[bytes]) -> None:
    """DTMF-3, DTMF-5. Bob's phone takes INFO unless it knows sound alone, whatever else was agreed."""
    call = Pressing(link, "audio", sink, dtmf)
    # 1. taken, and told
    assert call.info(call.alice, FLASH) == 200
    told = [dict(one.details) for one in call.house.node.published if one.type == "call.digit"]
    assert told == [{"digit": "flash", "ms": "300", "method": "info"}]
    # 2. to Bob by INFO or not at all: the engine knows digits only, and would refuse it
    assert (call.infos(call.bob), call.told(call.bob)) == (infos, [])
    # 3. nothing is said about tones, and digits in Alice's sound are still listened to
    assert not any(one.type == "call.finding_raised" for one in call.house.node.published)
    assert not any(isinstance(one, do.UpdateMedia) for one in call.house.media.told)


def test_infos_go_one_after_the_other_in_order(link: Link) -> None:
    """DTMF-4: in order, the next when the one before has its answer."""
    call = Pressing(link, "event", "info")

    def take(event: object) -> None:
        if isinstance(event, RequestInDialog):
            call.bob.station.perform(Respond(event.transaction, 200))

    call.bob.station.on_event = take
    for digit in "1234":
        call.house.station.apply(call.house.node.tell(did.DigitPressed(call.leg(call.alice), digit, 100, "rfc4733")))
    link.run(0.015)
    assert len(call.infos(call.bob)) == 1
    link.run(1)
    assert [body[7:8] for body in call.infos(call.bob)] == [b"1", b"2", b"3", b"4"]
    # As many as one command of the API may name, faster than the phone answers.
    text = "0123456789ABCD*#" * 16
    call.house.apply(lambda: call.house.node.command(PressDigits(call.house.call().parties[1].ref, text, 100)))
    link.run(60)
    assert b"".join(body[7:8] for body in call.infos(call.bob)[4:]).decode() == text


@pytest.mark.parametrize(
    ("headers", "body", "status", "field", "value"),
    [
        (Headers([("Content-Type", "application/dtmf")]), b"7", 200, None, None),
        (RELAY, b"Signal= 5\r\n", 200, None, None),
        (RELAY, b"Signal=%\r\n", 400, "Warning", None),
        (Headers([("Content-Type", "message/update_display")]), b"name", 415, "Accept", None),
        (Headers([("Content-Type", "application/media_control+xml")]), b"<media_control/>", 200, None, None),
        (Headers([("Info-Package", "keys")]), b"x", 469, "Recv-Info", ""),
        (Headers(), b"", 200, None, None),
    ],
)
def test_what_each_info_gets(
    link: Link, headers: Headers, body: bytes, status: int, field: str | None, value: str | None
) -> None:
    """DTMF-3, DTMF-4, RFC 5168, RFC 6086; Asterisk's connected-line INFO gets 415."""
    call = Pressing(link, "event", "event")
    assert call.info(call.alice, body, headers) == status
    answer = call.alice.answers("INFO")[-1]
    if field is not None:
        assert answer.headers.get(field) is not None
        assert value is None or answer.headers.get(field) == value
    if status == 415:
        assert answer.headers.get("Accept") == "application/dtmf-relay, application/dtmf, application/media_control+xml"


def test_more_infos_than_the_rate(link: Link) -> None:
    """INFO_RATE: twenty a second in one dialog."""
    call = Pressing(link, "event", "event")
    for _ in range(25):
        call.alice.station.perform(SendInDialog(call.alice.call, "INFO", RELAY, b"Signal=5\r\n"))
    link.run(0.1)
    statuses = [answer.status for answer in call.alice.answers("INFO")]
    assert statuses.count(200) in (20, 21)
    assert statuses[-1] == 500
    assert call.alice.answers("INFO")[-1].headers.get("Retry-After") == "1"
    link.run(1)
    assert call.info(call.alice) == 200


def test_nobody_hears_a_digit_in_an_echo(link: Link) -> None:
    house = House(link)
    alice = house.caller()
    alice.dial("echo")
    alice.ask("INFO")
    assert [one.status for one in alice.answers("INFO")] == [200]
    assert not [one for one in alice.station.received if isinstance(one, Request) and one.method == "INFO"]
