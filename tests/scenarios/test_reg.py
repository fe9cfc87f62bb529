"""Registrations and the calls that follow from them (SIGNALLING.md section 3)."""

from dataclasses import replace

import pytest

from offhook.sip.commands import MarkFlow
from offhook.sip.events import InviteReceived, UsageId
from offhook.sip.fields import parse_name_addr, split_list
from offhook.sip.flow import Reachability, Transport
from offhook.sip.message import Response
from tests.support.enrolled import Enrolled
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP

ONE = "<urn:uuid:00000000-0000-1000-8000-000a95a0e128>"
TWO = "<urn:uuid:00000000-0000-1000-8000-000a95a0e129>"


def gruus(answer: Response) -> tuple[str, str]:
    params = parse_name_addr(split_list(answer.headers.get("Contact") or "")[0]).params
    return params.get("pub-gruu") or "", params.get("temp-gruu") or ""


def test_reg_instance_replaces(link: Link) -> None:
    house = House(link)
    bob = Enrolled(house, "bob", instance=ONE)
    assert bob.enrol().status == 200
    old = bob.back
    # 1. the page is loaded anew: one device, one binding, at the new place (REG-10)
    bob.reload()
    assert bob.enrol().status == 200
    assert bob.bound == [bob.contact]
    # 2. the old connection's end takes nothing away (REG-12)
    link.disconnect(old.id)
    assert bob.bound == [bob.contact]
    # 3. a call rings the new page, once
    house.caller().dial("bob")
    assert len(bob.got("INVITE")) == 1
    assert str(bob.invite.uri) == bob.contact
    assert bob.invite.headers.get("Call-ID") not in (None, "")
    bob.respond(486)
    house.assert_nothing_left(bob, seconds=700)


def test_reg_limit_evicts_dead_first(link: Link) -> None:
    house = House(link)
    limits = replace(house.node.endpoint._core.config.registrar, contacts_per_aor=3)
    house.node.endpoint._registrar._limits = limits
    pages = [Enrolled(house, "bob", name) for name in ("busy", "asleep", "suspect")]
    for page in pages:
        assert page.enrol().status == 200
        link.run(1)
    busy, asleep, suspect = pages
    # 1. a page in a call and one that sleeps; a third whose ping is unanswered, the youngest
    busy.trust()
    busy.dial("echo")
    for page in (busy, asleep):
        house.station.perform(MarkFlow(page.back.id, Reachability.ASLEEP))
    house.station.perform(MarkFlow(suspect.back.id, Reachability.SUSPECT))
    # 2. the suspect one makes room first, though it is the youngest (REG-11)
    fourth, fifth, sixth = (Enrolled(house, "bob", name) for name in ("fourth", "fifth", "sixth"))
    assert fourth.enrol().status == 200
    assert bob_names(house) == ["busy", "asleep", "fourth"]
    # 3. then the sleeper, but not the one with a call
    link.run(1)
    assert fifth.enrol().status == 200
    assert bob_names(house) == ["busy", "fourth", "fifth"]
    # 4. then the newcomer is refused, in words, and nothing was written
    link.run(1)
    answer = sixth.enrol()
    assert answer.status == 403
    assert '"too-many-contacts ' in (answer.headers.get("Warning") or "")
    assert bob_names(house) == ["busy", "fourth", "fifth"]


def bob_names(house: House) -> list[str]:
    return [str(one.contact).removeprefix("sip:").split("@")[0] for one in house.node.bindings["sip:bob@example.com"]]


def test_reg_out_of_order_cseq(link: Link) -> None:
    house = House(link)
    bob = Enrolled(house, "bob")
    late = bob.ask_to_register(Expires="0")
    assert bob.enrol().status == 200
    # 1. an older request of the same Call-ID overtakes nothing (REG-7)
    answer = bob.send(late)
    assert answer.status == 500
    assert bob.bound == [bob.contact]
    # 2. another Call-ID is fresh, whatever its CSeq
    bob.reload(bob.contact)
    bob._cseq = -2
    assert bob.enrol().status == 200
    assert len(bob.bound) == 1


@pytest.mark.parametrize("which", [0, 1])
def test_reg_gruu_reaches_instance(link: Link, which: int) -> None:
    house = House(link)
    desk, page = Enrolled(house, "bob", "desk", instance=ONE), Enrolled(house, "bob", "page", instance=TWO)
    assert gruus(desk.enrol()) == ("", "")
    gruu = gruus(page.enrol(Supported="path, gruu, outbound"))[which]
    # 1. a call to the GRUU rings that device alone, at its Contact (REG-13)
    alice = house.caller()
    call(alice, gruu)
    assert (len(desk.got("INVITE")), len(page.got("INVITE"))) == (0, 1)
    assert str(page.invite.uri) == page.contact
    page.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    # 2. it follows the device to another page load; a temporary one is void then, for its Call-ID changed
    page.reload()
    assert page.enrol(Supported="gruu").status == 200
    alice.call = UsageId("again")
    call(alice, gruu)
    assert len(page.got("INVITE")) == (2 if which == 0 else 1)
    assert desk.got("INVITE") == []
    if which == 0:
        page.respond(486)
    # 3. without that device nobody is rung for it
    page.lose()
    alice.call = UsageId("third")
    call(alice, gruu)
    assert alice.final().status == 480
    assert desk.got("INVITE") == []


def call(alice: Phone, gruu: str) -> None:
    alice.house.link.run(0.1)
    alice.dial("bob", uri=gruu)


def test_reg_gruu_of_nobody(link: Link) -> None:
    house = House(link)
    Enrolled(house, "bob", instance=ONE).enrol()
    alice = house.caller()
    # A text that we did not seal names nobody, and says so no differently than a user who does not exist.
    call(alice, "sip:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@example.com;gr")
    assert alice.final().status == 404


def test_reg_path_from_stranger_ignored(link: Link) -> None:
    house = House(link)
    config = house.node.endpoint._core.config
    trusting = replace(config, trusted_proxies=("127.0.0.1/32",))
    for settings, path in ((config, ()), (trusting, ("<sip:edge.example.net;lr>", "<sip:inner.example.net;lr>"))):
        house.node.endpoint._registrar._reader = replace(house.node.endpoint._registrar._reader, config=settings)
        phone = Enrolled(house, "bob", f"phone{len(path)}", Transport.UDP)
        phone.contact = f"sip:bob@127.0.0.9:{5070 + len(path)}"
        answer = phone.enrol(Path="<sip:edge.example.net;lr>, <sip:inner.example.net;lr>", Supported="path")
        # 1. a stranger's Path is neither kept nor echoed; that of a trusted proxy is both (REG-14)
        assert answer.status == 200
        assert answer.headers.all("Path") == path
        # 2. calls go by it, in its order, down the flow the REGISTER came by
        alice = house.caller(name=f"alice{len(path)}")
        alice.dial("bob")
        assert phone.invite.headers.all("Route") == path
        assert str(phone.invite.uri) == phone.contact
        phone.respond(486)
        phone.enrol(Expires="0")


def flow_of(phone: Enrolled) -> str:
    event = phone.station.of(InviteReceived)[-1]
    assert isinstance(event, InviteReceived)
    return event.flow.id


def with_two_flows(house: House) -> tuple[Enrolled, str, str]:
    """Bob's device with two connections beside each other, as RFC 5626 has it; the flows at its own end."""
    bob = Enrolled(house, "bob", instance=ONE, transport=Transport.TLS)
    contact, flows = f'<{bob.contact}>;+sip.instance="{ONE}"', []
    for reg_id in (1, 2):
        answer = bob.enrol(Contact=f"{contact};reg-id={reg_id}", Supported="outbound, path")
        assert answer.headers.get("Require") == "outbound"
        flows.append(bob.there.id)
        house.link.run(1)
        bob.reload(bob.contact)
    assert [one.reg_id for one in house.node.bindings["sip:bob@example.com"]] == [1, 2]
    return bob, flows[0], flows[1]


@pytest.mark.parametrize("how", ["430", "silence"])
def test_reg_outbound_flows_of_one_device(link: Link, how: str) -> None:
    house = House(link)
    bob, first, second = with_two_flows(house)
    alice = house.caller()
    # 1. one device rings once, by the flow heard last
    alice.dial("bob")
    assert flow_of(bob) == second
    bob.respond(486)
    assert (len(bob.got("INVITE")), alice.final().status) == (1, 486)
    # 2. when that flow leads nowhere, the other one is taken
    alice.call = UsageId("again")
    if how == "430":
        alice.dial("bob")
        bob.respond(430)
    else:
        link.drop("offhook", "INVITE")
        alice.dial("bob")
        link.run(33)
    assert flow_of(bob) == first
    bob.respond(200, SDP)
    assert alice.final().status == 200


def test_reg_outbound_refresh_while_ringing(link: Link) -> None:
    """A device that refreshes its other flow while it rings is not rung again: it is there already."""
    house = House(link)
    bob, first, _ = with_two_flows(house)
    house.caller().dial("bob")
    assert len(bob.got("INVITE")) == 1
    bob.back = next(flow for end, (_, _, flow) in link._ends.items() if end == first)
    refresh = bob.ask_to_register(Contact=f'<{bob.contact}>;+sip.instance="{ONE}";reg-id=1', Supported="outbound")
    house.station.feed(refresh, bob.back)
    link.run(1)
    assert bob.answers("REGISTER")[-1].status == 200
    assert len(bob.got("INVITE")) == 1
    assert "CANCEL" not in bob.station.saw()
    bob.respond(486)


def test_flow_lost_binding_gone(link: Link) -> None:
    house = House(link)
    tab, desk = Enrolled(house, "bob", "tab"), Enrolled(house, "bob", "desk", Transport.UDP)
    tab.enrol()
    desk.enrol()
    # 1. the tab is killed: in the same event nothing rings it any more (REG-12)
    tab.lose()
    assert tab.bound == [desk.contact]
    alice = house.caller()
    alice.dial("bob")
    assert tab.got("INVITE") == []
    assert len(desk.got("INVITE")) == 1
    desk.respond(486)
    # 2. the last one gone: refused at once, in words
    desk.enrol(Expires="0")
    alice.call = UsageId("again")
    alice.dial("bob")
    link.run(30)
    assert alice.final().status == 480


def test_reg_dial_back(link: Link) -> None:
    """REG-12: a TCP phone on a private network is connected anew when somebody calls."""
    house = House(link)
    phone = Enrolled(house, "bob", "desk", Transport.TCP)
    phone.contact = "sip:bob@127.0.0.1:5070"
    phone.enrol()
    phone.lose()
    assert phone.bound == [phone.contact]
    house.node.carriers = dialling = Dialling(phone)
    alice = house.caller()
    alice.dial("bob")
    # 1. one connection, to its Contact, and the call goes down it
    assert dialling.dialled == ["127.0.0.1:5070/tcp"]
    assert len(phone.got("INVITE")) == 1
    phone.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    # 2. the binding has its flow again: the next call needs none
    alice.call = UsageId("again")
    alice.dial("bob")
    assert len(dialling.dialled) == 1
    assert len(phone.got("INVITE")) == 2
    phone.respond(486)
    # 3. a phone that is off is found out once
    phone.lose()
    dialling.on = False
    for name in ("third", "fourth"):
        alice.call = UsageId(name)
        alice.dial("bob")
        link.run(30)
        assert alice.final().status == 480
    assert len(dialling.dialled) == 2
    assert phone.bound == []


class Dialling:
    """The way to one phone, for `Connect`."""

    def __init__(self, phone: Enrolled) -> None:
        self.phone, self.dialled, self.on = phone, [], True  # type: ignore[var-annotated]
        self.rated: list[object] = []

    def locate(self, effect):  # type: ignore[no-untyped-def]
        raise AssertionError("a Contact is never looked up")

    def connect(self, effect):  # type: ignore[no-untyped-def]
        from offhook.calls.events import Connected

        self.dialled.append(str(effect.hop))
        if not self.on:
            return Connected(effect.token, None, "trunk_unreachable", "refused")
        link, house = self.phone.house.link, self.phone.house
        self.phone.there, self.phone.back = link.connect(self.phone.station, house.station, Transport.TCP)
        return Connected(effect.token, self.phone.back)


def test_reg_path_of_a_page_is_ignored_though_it_comes_from_a_proxys_address(link: Link) -> None:
    """A WebSocket is where a client is, whatever stands before it (WS-6); a reverse proxy sets no Path."""
    house = House(link)
    trusting = replace(house.node.endpoint._core.config, trusted_proxies=("127.0.0.1/32",))
    house.node.endpoint._registrar._reader = replace(house.node.endpoint._registrar._reader, config=trusting)
    page = Enrolled(house, "bob", "page")
    answer = page.enrol(Path="<sip:edge.example.net;lr>", Supported="path")
    assert (answer.status, answer.headers.all("Path")) == (200, ())
