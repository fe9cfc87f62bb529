"""The short ways of what happens most, a registration that is refreshed, lead to the same as the long ones."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip.carried import Carried
from offhook.sip.effects import StartTimer, StopTimer
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_auth, parse_name_addr, parse_tag, unquote
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.location import Binding
from offhook.sip.uri import parse_uri

AOR = "sip:alice@example.com"
FLOW = Flow(FlowId("wss-1"), Transport.WSS, ("192.0.2.1", 5000), ("192.0.2.2", 443), "192.0.2.2", True, False)
PIECES = st.sampled_from(
    ["<", ">", "sip:", "sips:", "tel:", "alice", "a;b", "%41", "@", "example.com", "-x", "x-", ".", "[::1]", ":5060",
     ";tag=", "t1", ";TAG=x", ";lr", " ", '"A" ', "?x=y", "é", "_", "~", "\n", "a" * 300]
)  # fmt: skip


def _binding(expires_at: float) -> Binding:
    return Binding(AOR, parse_uri("sip:c@x.invalid"), FLOW, "call-1", 1, expires_at, id="b1")


@given(
    st.lists(PIECES, max_size=9).map("".join) | st.from_regex(r"<sip:[a-z.]{1,9}@[a-z.\-]{1,9}>(;tag=[a-z!`]{1,9})?")
)
def test_a_tag_is_read_and_refused_as_in_a_whole_address(text: str) -> None:
    try:
        whole = parse_name_addr(text).tag
    except PeerError as error:
        with pytest.raises(type(error)):
            parse_tag(text)
        return
    assert parse_tag(text) == whole


def test_a_refresh_leaves_the_timer_where_it_is_and_the_binding_ends_when_it_should() -> None:
    carried = Carried({FLOW.id: FLOW})
    first, second = _binding(60.0), _binding(90.0)
    assert [one.seconds for one in carried.rewritten(AOR, (), (first,), 0.0) if isinstance(one, StartTimer)] == [60.0]
    # 1: the refresh costs no timer
    assert carried.rewritten(AOR, (first,), (second,), 30.0) == []
    # 2: the timer finds that it is not yet time, and is set for the rest
    (again,) = carried.fired(AOR, 60.0) or []
    assert isinstance(again, StartTimer)
    assert again.seconds == 30.0
    # 3: now it is
    assert carried.fired(AOR, 90.0) is None
    assert carried.running_timers == 0


def test_a_shorter_time_moves_the_timer_and_the_last_binding_stops_it() -> None:
    carried = Carried({FLOW.id: FLOW})
    first, shorter = _binding(600.0), _binding(70.0)
    carried.rewritten(AOR, (), (first,), 0.0)
    (moved,) = carried.rewritten(AOR, (first,), (shorter,), 10.0)
    assert isinstance(moved, StartTimer)
    assert moved.seconds == 60.0
    (stopped,) = carried.rewritten(AOR, (shorter,), (), 20.0)
    assert isinstance(stopped, StopTimer)
    assert carried.fired(AOR, 70.0) == []


AUTH = st.sampled_from(
    ["realm", "nonce", "NC", "=", ",", ", ", " ", '"', '"a b"', '"a,b"', '"a\\"b"', '""', "00000001", "a=b", "==", "\t",
     "\\", "é"]
)  # fmt: skip
ONE_BY_ONE = re.compile(r'\s*([\w\-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*)\s*(?:,|$)', re.DOTALL | re.ASCII)


@given(
    st.lists(AUTH, max_size=14).map("".join)
    | st.from_regex(r'(?:[a-z]{1,3}=(?:"[a-z ,=]{0,3}"|[a-z=/]{0,3})(?:, ?|\Z)){1,6}', fullmatch=True)
)
def test_plain_credentials_are_read_as_one_parameter_after_the_other(text: str) -> None:
    rest, at, wanted = text.strip(), 0, dict[str, str]()
    while at < len(rest):
        found = ONE_BY_ONE.match(rest, at)
        if found is None:
            wanted = wanted or {"token68": rest}
            break
        wanted.setdefault(found[1].lower(), unquote(found[2]))
        at = found.end()
    assert parse_auth(f"Digest {text}") == ("digest", wanted)
