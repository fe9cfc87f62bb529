"""RFC 5407 3.1 and 3.2 with the B2BUA between: both sides believe the same in the end, and nothing of either leg is left."""

import pytest

from offhook.calls.call import CallState
from offhook.sip.commands import HangUp
from offhook.sip.flow import Transport
from offhook.sip.message import Request, Response
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP, make_request


class Script:
    """A caller that sends what it is told, whatever the dialog would allow."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.phone = Phone(house, "script", "alice", Transport.TLS, "sip:alice@127.0.0.1;transport=tls")
        self.phone.trust()

    def send(
        self, method: str, cseq: int = 1, tag: str = "", branch: str = "", body: bytes = b"", **extra: str
    ) -> None:
        request = make_request(
            method,
            branch=branch or f"z9hG4bK{method}{cseq}",
            transport="TLS",
            cseq=cseq,
            to_tag=tag,
            body=body,
            **extra,
        )
        self.house.station.feed(request, self.phone.back)
        self.house.link.run(0.05)

    def heard(self, method: str) -> list[int]:
        """Statuses of the responses to one method."""
        sent = [one for one in self.house.station.sent if isinstance(one, Response)]
        mine = [one for one in sent if one.headers.get("Call-ID") == "call-1"]
        return [one.status for one in mine if (one.headers.get("CSeq") or "").endswith(f" {method}")]

    @property
    def tag(self) -> str:
        """The house's tag in the dialog."""
        sent = [one for one in self.house.station.sent if isinstance(one, Response)]
        mine = [one for one in sent if one.headers.get("Call-ID") == "call-1" and one.status > 100]
        return (mine[-1].headers.get("To") or "").rpartition("tag=")[2]

    def asked(self, method: str) -> list[Request]:
        """Requests of the house to the script."""
        sent = [one for one in self.house.station.sent if isinstance(one, Request) and one.method == method]
        return [one for one in sent if one.headers.get("Call-ID") == "call-1"]


@pytest.fixture
def house(link: Link) -> House:
    return House(link)


def test_3_1_2_cancel_crosses_the_answer_at_the_callee(house: House, link: Link) -> None:
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    link.delay("bob", "200 INVITE", 1.0)
    bob.respond(200, SDP)
    alice.cancel()
    link.run(3)
    # 1. the caller's CANCEL won here: 487
    assert alice.final().status == 487
    # 2. the callee had answered: CANCEL comes too late, so ACK and BYE follow
    assert bob.got("CANCEL")
    assert bob.got("ACK")
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)
    assert house.call().end_code == "caller_canceled"


def test_3_1_2_cancel_crosses_the_answer_at_the_caller(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.send("INVITE", body=SDP)
    bob.respond(180)
    bob.respond(200, SDP)
    script.send("CANCEL", branch="z9hG4bKINVITE1")
    # 1. CANCEL is answered and means nothing more: the call stands until BYE
    assert script.heard("CANCEL") == [200]
    assert 487 not in script.heard("INVITE")
    assert house.call().state is CallState.TALKING
    script.send("ACK", tag=script.tag)
    script.send("BYE", 2, script.tag)
    # 2. and with it both sides end
    assert script.heard("BYE") == [200]
    assert bob.got("BYE")
    house.assert_nothing_left(bob)


def test_3_1_3_bye_in_the_early_dialog_is_a_cancel(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.send("INVITE", body=SDP)
    bob.respond(180)
    script.send("BYE", 2, script.tag)
    assert script.heard("BYE") == [200]
    assert script.heard("INVITE") == [100, 180, 487]
    script.send("ACK", tag=script.tag, branch="z9hG4bKINVITE1")
    assert bob.got("CANCEL")
    house.assert_nothing_left(bob)


def test_3_1_3_early_bye_crosses_the_answer(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.send("INVITE", body=SDP)
    bob.respond(200, SDP)
    script.send("BYE", 2, script.tag)
    # 1. answered; the callee is hung up at once
    assert script.heard("BYE") == [200]
    assert bob.got("BYE")
    # 2. the 200 is repeated until the ACK that may yet come
    link.run(0.6)
    script.send("ACK", tag=script.tag)
    repeated = len(script.heard("INVITE"))
    link.run(40)
    assert len(script.heard("INVITE")) == repeated
    house.assert_nothing_left(bob)


def test_the_callee_hangs_up_before_the_callers_ack(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.send("INVITE", body=SDP)
    bob.respond(200, SDP)
    bob.hang_up(bob.ringing)
    # RFC 3261 section 15: no BYE to the caller before his ACK.
    assert script.asked("BYE") == []
    script.send("ACK", tag=script.tag)
    assert script.asked("BYE")
    house.assert_nothing_left(bob)


def test_3_2_1_bye_crosses_bye(house: House, link: Link) -> None:
    alice, bob = house.talking()
    alice.hang_up()
    bob.hang_up(bob.ringing)
    link.run(2)
    for phone in (alice, bob):
        assert [one.status for one in phone.answers("BYE")] in ([200], [481], [])
    house.assert_nothing_left(alice, bob)
    assert len(house.node.log) == 1


def test_both_hang_up_in_the_same_instant(house: House, link: Link) -> None:
    alice, bob = house.talking()
    alice.station.perform(HangUp(alice.call))
    bob.station.perform(HangUp(bob.ringing))
    house.assert_nothing_left(alice, bob)
    assert house.call().ended_by in ("caller", "callee")
    assert len(house.node.log) == 1


def test_3_2_2_a_re_invite_after_bye_gets_481(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.send("INVITE", body=SDP)
    bob.respond(200, SDP)
    tag = script.tag
    script.send("ACK", tag=tag)
    script.send("BYE", 2, tag)
    script.send("INVITE", 3, tag, body=SDP)
    assert script.heard("INVITE")[-1] == 481
    script.send("ACK", 3, tag=tag, branch="z9hG4bKINVITE3")
    house.assert_nothing_left(bob)
