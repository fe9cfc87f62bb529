"""API.md 12.2: a device that an operator blocks neither registers nor calls; one that must not ring does both, unrung."""

from dataclasses import replace

from offhook.sip.flow import Transport
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.registering import Registering

UUID = "0199aa11-0000-7000-8000-00000000000a"
URN = f"<urn:uuid:{UUID.upper()}>"
CONTACT = f'<sip:one@x.invalid>;+sip.instance="{URN}"'


def named(house: House, phone: Phone) -> None:
    """The device registers with an instance id."""
    aor = f"sip:{phone.username}@example.com"
    bound = house.node.bindings[aor]
    house.node.bindings[aor] = tuple(
        replace(one, instance=URN) if one.flow.id == phone.back.id else one for one in bound
    )


def test_a_blocked_device_does_not_register(link: Link) -> None:
    phone = Registering(link, Transport.WSS)
    phone.node.accounts["bob"] = blocked = replace(phone.node.accounts["bob"], blocked_devices=frozenset({UUID}))
    # 1. it is refused with the reason, and nothing is bound
    answer = phone.register(CONTACT)
    assert answer.status == 403
    assert '"device-blocked this device of bob is blocked"' in (answer.headers.get("Warning") or "")
    assert phone.bindings == ()
    # 2. the endpoint's other devices register
    assert phone.register("<sip:two@x.invalid>", call_id="reg-2").status == 200
    # 3. unblocked it is welcome
    phone.node.accounts["bob"] = replace(blocked, blocked_devices=frozenset())
    assert phone.register(CONTACT).status == 200
    # 4. blocked again it may still say that it goes
    phone.node.accounts["bob"] = blocked
    assert phone.register(CONTACT, Expires="0").status == 200
    assert [one.instance for one in phone.bindings] == [None]


def test_a_blocked_device_does_not_call(link: Link) -> None:
    house = House(link)
    alice, other, bob = house.caller(), house.caller("alice", "desk"), house.callee()
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], blocked_devices=frozenset({UUID}))
    # As its refused REGISTER says, or the operator who takes its registration away.
    house.node.authenticator.keep_away(alice.back.id, URN)
    # 1. its calls are refused with the reason
    alice.dial("bob")
    assert alice.final().status == 403
    assert "device-blocked" in (alice.final().headers.get("Warning") or "")
    assert not bob.got("INVITE")
    # 2. another device of the same endpoint calls
    other.dial("bob")
    bob.respond(200, SDP)
    assert other.final().status == 200
    other.hang_up()
    # 3. and the flow is no worse than the device: once unblocked, it calls
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], blocked_devices=frozenset())
    assert not house.node.authenticator.blocked(alice.back.id, house.node.accounts["alice"])
    house.assert_nothing_left(alice, other, bob)


def test_a_quiet_device_is_not_rung(link: Link) -> None:
    house = House(link)
    alice, desk, cell = house.caller(), house.callee("bob", "desk"), house.callee("bob", "cell", Transport.TLS)
    named(house, cell)
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], quiet_devices=frozenset({UUID}))
    # 1. only the other one rings
    alice.dial("bob")
    assert (len(desk.got("INVITE")), len(cell.got("INVITE"))) == (1, 0)
    desk.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    # 2. by itself it is as good as none
    house.node.bindings["sip:bob@example.com"] = house.node.bindings["sip:bob@example.com"][1:]
    carol = house.caller("carol")
    carol.dial("bob")
    assert (carol.final().status, len(cell.got("INVITE"))) == (480, 0)
    # 3. it calls as any other
    cell.trust()
    cell.dial("echo")
    assert cell.final().status == 200
    cell.hang_up()
    house.assert_nothing_left(alice, desk, cell, carol)
