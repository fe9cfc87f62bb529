"""REG-12: a UDP phone that leaves two OPTIONS unanswered is no longer registered."""

from itertools import pairwise

from offhook.sip.config import RegistrarLimits, SipConfig
from offhook.sip.events import BindingsChanged
from offhook.sip.flow import Transport
from offhook.sip.location import Change
from tests.support.link import Link, Station
from tests.support.nodes import DOMAIN, authorized, make_account, make_endpoint
from tests.support.registering import AOR, Registering

ASKING = SipConfig(DOMAIN, registrar=RegistrarLimits(probe_after=60.0, probe_rate=2))
SELF = SipConfig(DOMAIN, frozenset({"127.0.0.1"}))


class Phone:
    """A phone at the other end of the link."""

    def __init__(self, link: Link, registrar: Station, name: str, transport: Transport = Transport.UDP) -> None:
        self.link, self.registrar = link, registrar
        self.station = link.station(name, make_endpoint(name, len(link.stations), SELF))
        self.there, self.back = link.connect(self.station, registrar, transport)

    def register(self) -> None:
        """Its REGISTER comes by its flow."""
        request = self.request(1)
        self.registrar.feed(request, self.back)
        challenge = self.registrar.sent[-1]
        self.registrar.feed(authorized(request, challenge, "bob"), self.back)  # type: ignore[arg-type]

    def request(self, cseq: int):  # type: ignore[no-untyped-def]
        helper = Registering.__new__(Registering)
        helper._cseq = cseq
        contact = f"<sip:bob@{self.there.local[0]}:{self.there.local[1]}>"
        return helper.request(contact, call_id=f"reg-{self.station.name}")


def registrar(link: Link) -> Station:
    station = link.station("registrar", make_endpoint("registrar", 3, ASKING))
    station.accounts["bob"] = make_account("bob")
    return station


def test_reg_12_a_phone_that_answers_stays(link: Link) -> None:
    node = registrar(link)
    phone = Phone(link, node, "desk")
    phone.register()
    link.run(400)
    asked = link.times("registrar: OPTIONS")
    # 1: about once a minute, counted from the last sign of life.
    assert len(asked) == 6
    assert all(60 <= later - earlier <= 62 for earlier, later in pairwise(asked))
    # 2: any answer will do.
    assert len(node.bindings[AOR]) == 1
    # 3: and it is over with the binding.
    link.run(300)
    assert node.bindings[AOR] == ()
    assert node.node.timers == 0  # type: ignore[attr-defined]
    assert len(link.times("registrar: OPTIONS")) < 11


def test_reg_12_two_unanswered_end_the_binding(link: Link) -> None:
    node = registrar(link)
    phone = Phone(link, node, "desk")
    phone.register()
    node.events.clear()
    link.drop("registrar", "OPTIONS", times=1000)
    link.run(100)
    # 1: the first one has gone unanswered for 32 s; the binding stands.
    assert len(node.bindings[AOR]) == 1
    link.run(30)
    # 2: the second one followed at once and went the same way.
    assert node.bindings[AOR] == ()
    (told,) = [event for event in node.events if isinstance(event, BindingsChanged)]
    assert [one.change for one in told.changed] == [Change.SILENT]
    # 3: nothing is left running.
    link.run(40)
    assert node.node.timers == 0  # type: ignore[attr-defined]
    assert node.node.transactions == 0  # type: ignore[attr-defined]


def test_reg_12_a_sign_of_life_between_the_two_counts(link: Link) -> None:
    node = registrar(link)
    phone = Phone(link, node, "desk")
    phone.register()
    link.drop("registrar", "OPTIONS", times=7)
    link.run(300)
    assert len(node.bindings[AOR]) == 1, link.ladder()


def test_reg_12_many_phones_are_asked_at_a_bounded_rate_and_streams_never(link: Link) -> None:
    node = registrar(link)
    phones = [Phone(link, node, f"desk{number}") for number in range(9)]
    stream = Phone(link, node, "stream", Transport.TCP)
    for phone in (*phones, stream):
        link.run(0.25)
        phone.register()
    link.run(70)
    asked = [round(time) for time in link.times("registrar: OPTIONS")]
    assert len(asked) == 9
    assert max(asked.count(second) for second in asked) <= 2
    assert "OPTIONS" not in stream.station.saw()
