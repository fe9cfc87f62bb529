"""No 488 while transcoding is possible (CALL-23): every codec of a caller meets every codec of a callee."""

import itertools

import pytest

from offhook.sdp.parse import parse
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP

LINES = {
    "OPUS": b"m=audio 4000 RTP/AVP 107\r\na=rtpmap:107 opus/48000/2\r\n",
    "G722": b"m=audio 4000 RTP/AVP 9\r\n",
    "PCMU": b"m=audio 4000 RTP/AVP 0\r\n",
    "PCMA": b"m=audio 4000 RTP/AVP 8\r\n",
}


def description(codec: str) -> bytes:
    return SDP.partition(b"m=")[0] + LINES[codec]


@pytest.mark.parametrize(("caller", "callee"), list(itertools.product(LINES, LINES)))
def test_every_pair_talks(link: Link, caller: str, callee: str) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", description(caller))
    # 1. the callee is offered the caller's codec first, and everything else that can be transcoded
    offered = parse(bob.invite.body).audio
    assert offered is not None
    names = [one.name for one in offered.formats if one.name in LINES]
    assert names[0] == caller
    assert set(names) == set(LINES)
    bob.respond(200, description(callee))
    # 2. each is answered in its own
    answer = parse(alice.final().body).audio
    assert alice.final().status == 200
    assert answer is not None
    assert [one.name for one in answer.formats] == [caller]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
