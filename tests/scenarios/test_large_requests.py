"""CALL-21: a request of ours above 1300 octets goes by TCP if its peer takes it, else in compact form over UDP.

RFC 3261 section 18.1.1.
"""

import pytest

from offhook.sip.commands import CancelInvite, HangUp, SendInDialog
from offhook.sip.events import InviteCanceled, InviteRejected, RequestInDialog
from offhook.sip.flow import Transport
from offhook.sip.message import Request
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.pair import WITH_SDP, Pair

LARGE = SDP + b"".join(b"a=fmtp:%d useinbandfec=1;minptime=10\r\n" % number for number in range(40))
"""A description of some 1,700 octets."""


def invites(pair: Pair) -> list[Request]:
    return [one for one in pair.bob.received if isinstance(one, Request) and one.method == "INVITE"]


def sent(link: Link, what: str) -> list[tuple[int, Transport]]:
    return [(octets, transport) for text, octets, transport in link.sizes if text == what]


def test_small_ones_stay_as_they_are(link: Link) -> None:
    link.takes_tcp = {"bob"}
    pair = Pair(link)
    pair.talk()
    assert {transport for _, _, transport in link.sizes} == {Transport.UDP}
    assert all(octets <= 1300 for _, octets, _ in link.sizes)
    assert pair.alice.notes == []


def test_a_large_invite_goes_by_tcp_with_its_cancel_behind_it(link: Link) -> None:
    link.takes_tcp = {"bob"}
    pair = Pair(link)
    pair.invite(LARGE)
    link.run(0.1)
    # 1. The INVITE is on TCP, once, and its Via says so; nothing of it went over UDP.
    ((octets, transport),) = sent(link, "INVITE")
    assert (octets > 1300, transport) == (True, Transport.TCP)
    via = invites(pair)[0].headers.get("Via") or ""
    assert via.startswith("SIP/2.0/TCP ")
    assert "rport" not in via
    # 2. It is counted and noted.
    assert pair.alice.node.large_requests == {"tcp": 1, "compact": 0}  # type: ignore[attr-defined]
    (note,) = pair.alice.notes
    assert (note.slug, note.details["way"], note.details["method"]) == ("datagram-too-large", "tcp", "INVITE")
    # 3. CANCEL takes the same way with the same Via, and is matched.
    pair.respond(180)
    link.run(0.1)
    pair.alice.perform(CancelInvite(pair.call))
    link.run(1)
    assert sent(link, "CANCEL")[0][1] is Transport.TCP
    assert len(pair.bob.of(InviteCanceled)) == 1
    assert len(pair.alice.of(InviteRejected)) == 1
    # 4. No retransmission on a stream, and nothing left behind.
    assert len(sent(link, "INVITE")) == 1
    link.run(40)
    assert pair.alice.node.transactions == pair.bob.node.transactions == 0  # type: ignore[attr-defined]


def test_a_call_set_up_by_tcp_goes_on_over_udp(link: Link) -> None:
    link.takes_tcp = {"bob"}
    pair = Pair(link)
    pair.invite(LARGE)
    link.run(0.1)
    pair.respond(200, SDP)
    link.run(0.1)
    # 1. The ACK goes where the dialog lives, and stops the 200.
    assert [transport for _, transport in sent(link, "ACK")] == [Transport.UDP]
    link.run(5)
    assert len(sent(link, "200 INVITE")) == 1
    # 2. Each large request chooses again; a small one never does.
    pair.alice.perform(SendInDialog(pair.call, "INVITE", WITH_SDP, LARGE))
    link.run(0.1)
    assert [transport for _, transport in sent(link, "INVITE")] == [Transport.TCP, Transport.TCP]
    assert len(pair.bob.of(RequestInDialog)) == 1
    pair.alice.perform(HangUp(pair.call))
    link.run(0.1)
    assert [transport for _, transport in sent(link, "BYE")] == [Transport.UDP]


def test_a_peer_without_tcp_gets_the_compact_form(link: Link) -> None:
    pair = Pair(link)
    link.drop("alice", "INVITE", 1)
    pair.invite(LARGE)
    link.run(1)
    # 1. Over UDP in compact form, retransmitted as any other.
    copies = sent(link, "INVITE")
    assert len(copies) == 2
    assert {transport for _, transport in copies} == {Transport.UDP}
    assert len({octets for octets, _ in copies}) == 1
    # 2. It is the same message to its reader, and shorter on the wire.
    (invite,) = invites(pair)
    assert (invite.headers.get("Via") or "").startswith("SIP/2.0/UDP ")
    assert invite.body == LARGE
    (note,) = pair.alice.notes
    assert note.details["way"] == "compact"
    assert int(note.details["octets"]) == copies[0][0]
    # 3. The call is a call.
    pair.respond(200, SDP)
    link.run(1)
    assert [transport for _, transport in sent(link, "ACK")] == [Transport.UDP]
    assert pair.alice.node.large_requests == {"tcp": 0, "compact": 1}  # type: ignore[attr-defined]


@pytest.mark.parametrize("takes", [True, False])
def test_a_cancel_before_the_choice_waits_as_before_any_1xx(link: Link, takes: bool) -> None:
    link.takes_tcp = {"bob"} if takes else set()
    pair = Pair(link)
    pair.invite(LARGE)
    pair.alice.perform(CancelInvite(pair.call))
    link.run(0.2)
    assert sent(link, "CANCEL") == [] or sent(link, "100 INVITE") != []
    link.run(5)
    assert len(pair.bob.of(InviteCanceled)) == 1
    assert len(pair.alice.of(InviteRejected)) == 1


def test_a_stream_peer_is_never_asked(link: Link) -> None:
    pair = Pair(link, Transport.TLS)
    pair.invite(LARGE)
    link.run(0.1)
    assert pair.alice.notes == []
    assert [transport for _, transport in sent(link, "INVITE")] == [Transport.TLS]
