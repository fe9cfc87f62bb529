"""4.2 through the house: whatever both sides offer in turn, each answer follows the table, each hears music while the other
holds and the other else, and the o= version of our descriptions never goes back."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.calls.leg import Leg
from offhook.calls.ports import SourceKind
from offhook.sdp.description import DIRECTIONS
from offhook.sdp.offer_answer import answer_direction
from offhook.sdp.parse import parse
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP

HOLDING = ("sendonly", "inactive")
turns = st.tuples(
    st.sampled_from(["alice", "bob"]),
    st.sampled_from(["INVITE", "UPDATE"]),
    st.sampled_from([*DIRECTIONS, "0.0.0.0"]),
    st.sampled_from([4000, 4100]),
)


def offer(direction: str, port: int) -> bytes:
    text = SDP.replace(b"4000", str(port).encode())
    if direction == "0.0.0.0":
        return text.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 0.0.0.0")
    return text + f"a={direction}\r\n".encode()


def hears(house: House, leg: Leg) -> object:
    assert leg.media is not None
    return house.media.source_of(leg.media.leg)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(turns, max_size=8))
def test_answers_and_music_follow_what_both_sides_offered(sequence: list[tuple[str, str, str, int]]) -> None:
    house = House(Link())
    alice, bob = house.talking()
    phones: dict[str, tuple[Phone, Leg]] = {
        "alice": (alice, house.call().caller),
        "bob": (bob, house.call().winner),  # type: ignore[dict-item]
    }
    said = {"alice": "sendrecv", "bob": "sendrecv"}
    versions = {"alice": 1, "bob": 1}
    for who, method, direction, port in sequence:
        phone = phones[who][0]
        phone.ask(method, offer(direction, port), usage=phone.call if who == "alice" else phone.ringing)
        answer = parse(phone.answers(method)[-1].body)
        meant = "sendonly" if direction == "0.0.0.0" else direction
        # 1. the table
        assert answer.audio is not None
        assert answer.audio.direction == answer_direction(meant, "both")
        # 2. the version
        assert int(answer.version) >= versions[who]
        said[who], versions[who] = meant, int(answer.version)
        # 3. what each hears
        for one, other in (("alice", "bob"), ("bob", "alice")):
            heard = hears(house, phones[one][1])
            assert (heard is SourceKind.MUSIC) == (said[other] in HOLDING), (one, said)
    # 4. neither side was ever asked anything
    assert alice.got("INVITE") == []
    assert len(bob.got("INVITE")) == 1
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
