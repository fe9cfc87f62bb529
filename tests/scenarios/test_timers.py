"""Session timers through the house (CALL-11, LIVE-11), each leg for itself; a leg that expires ends the call."""

import pytest

from offhook.calls import effects as do
from offhook.sip.flow import Transport
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.script import Script

pytestmark = pytest.mark.ladder
TIMER = {"Supported": "timer"}


def up(house: House, transport: Transport = Transport.TLS, **fields: str) -> Script:
    """A scripted caller talks with a phone of bob's, which takes no part in timers."""
    script, bob = Script(house, transport), house.callee()
    script.invite(**fields)
    bob.respond(200, SDP)
    script.confirm()
    return script


def test_timer_refresh_by_update_without_body(link: Link) -> None:
    house = House(link)
    script = up(house, Session_Expires="90;refresher=uac", **TIMER)
    told = len(house.media.told)
    link.run(40)
    script.send("UPDATE", 2, script.tag, Session_Expires="90;refresher=uac", **TIMER)
    # 1. 200 with the terms and without a body; media is untouched
    answer = script.responses("UPDATE")[-1]
    assert (answer.status, answer.body, answer.headers.get("Session-Expires")) == (200, b"", "90;refresher=uac")
    assert len(house.media.told) == told
    # 2. the session lives on from there
    link.run(55)
    assert script.asked("BYE") == []
    script.send("BYE", 3, script.tag)


def test_timer_refresh_by_reinvite_without_sdp(link: Link) -> None:
    house = House(link)
    script = up(house, Session_Expires="90;refresher=uac", **TIMER)
    before = script.responses("INVITE")[-1].body
    link.run(40)
    script.send("INVITE", 2, script.tag, Session_Expires="90;refresher=uac", **TIMER)
    # 1. our full offer under the same o= id, as it was
    answer = script.responses("INVITE")[-1]
    assert answer.body.split(b"\r\n")[1].split()[1] == before.split(b"\r\n")[1].split()[1]
    script.send("ACK", 2, script.tag, body=SDP)
    link.run(55)
    assert script.asked("BYE") == []
    script.send("BYE", 3, script.tag)


def test_timer_422_then_ok(link: Link) -> None:
    house = House(link)
    script, bob = Script(house), house.callee()
    script.invite(Session_Expires="30", **TIMER)
    # 1. refused with our minimum, nobody rings
    assert script.responses("INVITE")[-1].headers.get("Min-SE") == "90"
    assert not bob.got("INVITE")
    script.send("ACK", 1, script.tag, branch="z9hG4bKINVITE1")
    # 2. with that it is served
    script.send("INVITE", 2, body=SDP, branch="z9hG4bKagain", Session_Expires="90", Min_SE="90", **TIMER)
    bob.respond(200, SDP)
    assert script.responses("INVITE")[-1].headers.get("Session-Expires") == "90;refresher=uas"
    script.send("ACK", 2, script.tag)
    script.send("BYE", 3, script.tag)
    house.assert_nothing_left(bob)


def test_timer_refresher_swap(link: Link) -> None:
    house = House(link)
    script = up(house, Session_Expires="90;refresher=uac", Allow="INVITE, UPDATE", **TIMER)
    link.run(40)
    script.send("INVITE", 2, script.tag, body=SDP, Session_Expires="120;refresher=uas", **TIMER)
    assert script.responses("INVITE")[-1].headers.get("Session-Expires") == "120;refresher=uas"
    script.send("ACK", 2, script.tag)
    # The duty is ours now.
    link.run(61)
    assert script.asked("UPDATE")[0].headers.get("Session-Expires") == "120;refresher=uac"
    script.answer(200, Session_Expires="120;refresher=uac")
    script.send("BYE", 3, script.tag)


def test_timer_jssip_ninety_seconds(link: Link) -> None:
    house = House(link)
    script, bob = Script(house, Transport.WSS), house.callee()
    script.invite(Session_Expires="90", Allow="INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY", **TIMER)
    bob.respond(200, SDP)
    # 1. its 90 s are kept, the duty taken, nothing is sent before the ACK
    assert script.responses("INVITE")[-1].headers.get("Session-Expires") == "90;refresher=uas"
    assert script.asked() == []
    script.confirm()
    # 2. then one UPDATE asks for 1800 s with us as refresher
    assert [one.headers.get("Session-Expires") for one in script.asked("UPDATE")] == ["1800;refresher=uac"]
    script.answer(200, Session_Expires="1800;refresher=uac")
    # 3. at half, whole and 1.1 times its interval the call is there
    for seconds in (45, 50, 10):
        link.run(seconds)
        assert script.asked("BYE") == []
    # 4. every 2xx repeats the terms: left out, the page would take the duty back
    script.send("INVITE", 2, script.tag, body=SDP + b"a=sendonly\r\n", **TIMER)
    assert script.responses("INVITE")[-1].headers.get("Session-Expires") == "1800;refresher=uas"
    script.send("ACK", 2, script.tag)
    script.send("BYE", 3, script.tag)
    house.assert_nothing_left(bob)


def test_timer_expired_bye(link: Link) -> None:
    house = House(link)
    script = up(house, Session_Expires="90;refresher=uac", **TIMER)
    link.run(61)
    # 1. both sides get BYE, with the reason
    assert "not refreshed" in (script.asked("BYE")[0].headers.get("Reason") or "")
    script.answer(200)
    assert house.call().end_code == "session_timer_expired"
    # 2. the other leg too, and the engine is told
    assert link.arrows().count("offhook: BYE") == 2
    assert house.media.of(do.CloseMedia)
    house.assert_nothing_left()


def test_timer_refreshed_by_reinvite_where_update_is_not_taken(link: Link) -> None:
    house = House(link)
    script = up(house, Session_Expires="90", Allow="INVITE, BYE", **TIMER)
    link.run(31)
    refresh = script.asked("INVITE")[0]
    # 1. the description as it stands, version and all
    assert refresh.body == script.responses("INVITE")[-1].body
    assert refresh.headers.get("Session-Expires") == "90;refresher=uac"
    told = len(house.media.told)
    script.answer(200, SDP, Session_Expires="90;refresher=uac")
    # 2. an unchanged answer leaves the media alone
    assert len(house.media.told) == told
    link.run(31)
    assert len(script.asked("INVITE")) == 2
    script.answer(200, SDP, Session_Expires="90;refresher=uac")
    script.send("BYE", 2, script.tag)
