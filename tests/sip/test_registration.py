"""The machine of a registration of ours, by itself: NAT, wishes of the operator, what is told."""

import pytest

from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.message import Headers, Response
from offhook.sip.registration import EXPIRES_MOST, Changed, Line, LineState, Register, Wake, retry_after
from tests.support.ids import SeededIds


def flow(transport: Transport = Transport.UDP, advertised: str = "10.0.0.5:5060") -> Flow:
    return Flow(FlowId("f"), transport, ("198.51.100.7", 5060), ("10.0.0.5", 5060), advertised, False, False)


def make() -> Line:
    return Line(SeededIds(1), "call-id", "token", "urn:uuid:1", 600)


def ok(via: str = "SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKx") -> Response:
    return Response(200, "OK", Headers([("Via", via), ("Contact", "<sip:token@10.0.0.5:5060>;expires=600")]))


def with_expires(text: str, status: int = 200) -> Response:
    fields = ok().headers.replaced("Contact", f"<sip:token@10.0.0.5:5060>;expires={text}")
    return Response(status, "", Headers([*fields, ("Expires", text), ("Min-Expires", text)]))


def test_start_registers_once() -> None:
    line = make()
    assert line.start(0.0) == [Changed(LineState.REGISTERING), Register(1, 600)]
    assert line.start(0.0) == []


def test_received_and_rport_correct_the_contact_once(  # TRK-2
) -> None:
    line = make()
    line.start(0.0)
    assert "token@10.0.0.5:5060" in (line.headers(flow(), 600).get("Contact") or "")
    nat = ok("SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKx;received=203.0.113.9;rport=40001")
    steps = line.answered(nat, 1, flow(), 0.0)
    assert steps[-1] == Register(2, 600), "again, now with the address the registrar saw"
    assert "token@203.0.113.9:40001" in (line.headers(flow(), 600).get("Contact") or "")
    steps = line.answered(nat, 2, flow(), 0.0)
    assert isinstance(steps[-1], Wake), "and no third time"


def test_a_registrar_that_sees_us_elsewhere_each_time_is_asked_once_more_only() -> None:
    line = make()
    line.start(0.0)
    via = "SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKx;received=203.0.113.9;rport=4000"
    steps = [line.answered(ok(f"{via}{number}"), number + 1, flow(), 0.0)[-1] for number in range(5)]
    assert isinstance(steps[0], Register)
    assert all(isinstance(one, Wake) for one in steps[1:])
    assert "token@203.0.113.9:40004" in (line.headers(flow(), 600).get("Contact") or ""), "the refresh names the newest"


@pytest.mark.parametrize("port", ["\u00b2", "-1", "x"])
def test_numbers_that_are_none_change_nothing(port: str) -> None:
    line = make()
    line.start(0.0)
    via = f"SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKx;received=203.0.113.9;rport={port}"
    assert isinstance(line.answered(ok(via), 1, flow(), 0.0)[-1], Wake)
    assert line.answered(with_expires(port, 423), 2, flow(), 0.0)[0] == Changed(LineState.FAILED)
    line.answered(with_expires(port), 3, flow(), 0.0)
    assert line.expires_at == 600
    assert line.headers(flow(), 600).get("Contact") == "<sip:token@10.0.0.5:5060>"


def test_the_life_of_our_own_contact_counts_among_those_of_others() -> None:
    """10.2.4: a registrar lists every device of the account."""
    line = make()
    line.start(0.0)
    contacts = "<sip:desk@10.0.0.9:5060>;expires=3600, <sip:token@10.0.0.5:5060>;expires=120"
    line.answered(Response(200, "OK", ok().headers.replaced("Contact", contacts)), 1, flow(), 0.0)
    assert line.expires_at == 120


def test_a_life_longer_than_a_week_is_not_believed() -> None:
    line = make()
    line.start(0.0)
    line.answered(with_expires("9" * 5000), 1, flow(), 0.0)
    assert line.expires_at == EXPIRES_MOST


def test_a_received_that_is_no_host_is_not_written_into_a_contact() -> None:
    line = make()
    line.start(0.0)
    via = 'SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKx;received="x>;evil=1, <sip:y";rport=1'
    line.answered(ok(via), 1, flow(), 0.0)
    assert line.headers(flow(), 600).get("Contact") == "<sip:token@10.0.0.5:5060>"


def test_a_public_address_that_is_set_is_left_alone() -> None:
    line = make()
    line.start(0.0)
    public = flow(advertised="203.0.113.1:5060")
    nat = ok("SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKx;received=203.0.113.9;rport=40001")
    assert isinstance(line.answered(nat, 1, public, 0.0)[-1], Wake)
    assert "token@203.0.113.1:5060" in (line.headers(public, 600).get("Contact") or "")


def test_a_challenge_raises_the_number_of_the_next() -> None:
    line = make()
    line.start(0.0)
    line.answered(ok(), 2, flow(), 0.0)
    assert line.due(500.0) == [Register(3, 600)]


def test_stop_takes_back_only_what_stands() -> None:
    line = make()
    assert line.stop() == []
    line.start(0.0)
    assert Register(2, 0) not in line.stop()
    line = make()
    line.start(0.0)
    line.answered(ok(), 1, flow(), 0.0)
    assert line.stop() == [Wake(None), Changed(LineState.OFF), Register(2, 0)]
    assert line.answered(ok(), 2, flow(), 0.0) == [], "the answer to that changes nothing"


def test_again_does_not_wait_for_the_quarter_of_an_hour() -> None:
    line = make()
    line.start(0.0)
    steps = line.answered(Response(403, "Forbidden", Headers()), 1, flow(), 0.0)
    assert steps == [Changed(LineState.FAILED, alarm=True), Wake(900.0)]
    assert line.again(1.0) == [Wake(None), Changed(LineState.REGISTERING), Register(2, 600)]
    steps = line.answered(Response(403, "Forbidden", Headers()), 2, flow(), 2.0)
    assert steps == [Changed(LineState.FAILED, alarm=False), Wake(900.0)], "the alarm is raised once"


def test_423_without_a_higher_minimum_is_a_failure_like_any() -> None:
    line = make()
    line.start(0.0)
    steps = line.answered(Response(423, "Interval Too Brief", Headers([("Min-Expires", "60")])), 1, flow(), 0.0)
    assert line.state is LineState.FAILED
    assert isinstance(steps[-1], Wake)


def test_retry_after_is_read_with_comment_and_parameter() -> None:
    def said(value: str) -> int | None:
        return retry_after(Response(503, "No", Headers([("Retry-After", value)])))

    assert [said("5"), said("5 (soon)"), said("5;duration=9"), said("99999")] == [5, 5, 5, 3600]
    assert said("soon") is None


@pytest.mark.parametrize(
    "said",
    [Response(503, "No", Headers([("Retry-After", "0")])), with_expires("1", 200)],
    ids=["Retry-After", "expires"],
)
def test_no_registrar_can_make_us_register_without_a_pause(said: Response) -> None:
    line = make()
    line.start(0.0)
    for number in range(1, 4):
        wake = line.answered(said, number, flow(), 0.0)[-1]
        assert isinstance(wake, Wake)
        assert (wake.seconds or 0) >= 2
        line.due(2.0)


def test_transport_stands_in_the_contact_of_streams() -> None:
    assert ";transport=tls>" in (make().headers(flow(Transport.TLS), 60).get("Contact") or "")
