"""SRTP by keys in the descriptions (RFC 4568) and the free choice of RFC 8643, through the B2BUA."""

import base64
from dataclasses import replace

from offhook.calls import effects as do
from offhook.calls.ports import Crypto, KeyKind
from offhook.sdp.parse import parse
from offhook.sip.flow import Transport
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP

SUITE = "AES_CM_128_HMAC_SHA1_80"
KEY = bytes(range(30))
LINE = f"a=crypto:7 {SUITE} inline:{base64.b64encode(KEY).decode()}\r\n".encode()
SECURE = SDP.replace(b"RTP/AVP", b"RTP/SAVP") + LINE
FREE = SDP + LINE


def opened(house: House) -> list[KeyKind]:
    return [offer.keys for told in house.media.told if isinstance(told, do.OpenMedia) for _, offer in told.offers]


def completed(house: House) -> list[tuple[Crypto, ...]]:
    return [one.remote.crypto for one in house.media.told if isinstance(one, do.CompleteMedia)]


def test_a_phone_that_demands_srtp_gets_its_own_tag_and_our_key(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", SECURE)
    # 1. the callee over UDP is offered no keys: everybody could read them
    assert b"crypto" not in bob.invite.body
    assert opened(house) == [KeyKind.SDES, KeyKind.PLAIN]
    bob.respond(200, SDP)
    # 2. the answer takes the line by its tag and profile, with a key of ours
    answer = parse(alice.final().body).audio
    assert answer is not None
    assert answer.protocol == "RTP/SAVP"
    assert [(line.tag, line.suite) for line in answer.crypto] == [(7, SUITE)]
    assert answer.crypto[0].key != KEY.hex()
    # 3. the engine has the peer's key
    assert (Crypto(SUITE, KEY.hex()),) in completed(house)
    # 4. a repeated offer changes no key
    alice.ask("INVITE", SECURE)
    assert alice.final().body == alice.answers("INVITE")[0].body
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_phone_over_tls_is_offered_keys_and_may_answer_in_the_clear(link: Link) -> None:
    for answer, keys in ((FREE, KeyKind.SDES), (SDP, KeyKind.PLAIN)):
        house = House(Link())
        alice, bob = house.caller(), house.callee(transport=Transport.TLS)
        alice.dial("bob")
        # 1. RTP/AVP with two keys leaves it the choice (RFC 8643)
        offer = parse(bob.invite.body).audio
        assert offer is not None
        assert offer.protocol == "RTP/AVP"
        assert [(line.tag, line.suite) for line in offer.crypto] == [(1, "AEAD_AES_128_GCM"), (2, SUITE)]
        bob.respond(200, answer)
        # 2. the engine is told what it chose
        updates = [one.offer.keys for one in house.media.told if isinstance(one, do.UpdateMedia)]
        assert updates == ([] if keys is KeyKind.SDES else [KeyKind.PLAIN])
        assert alice.final().status == 200
        alice.hang_up()
        house.assert_nothing_left(alice, bob)


def test_required_encryption_refuses_what_is_clear(link: Link) -> None:
    house = House(link)
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], encryption="required")
    alice, bob = house.caller(), house.callee(transport=Transport.TLS)
    alice.dial("bob")
    # 1. the offer demands SRTP
    offer = parse(bob.invite.body).audio
    assert offer is not None
    assert offer.protocol == "RTP/SAVP"
    # 2. an answer without a key is no answer
    bob.respond(200, SDP)
    assert alice.final().status == 502
    house.assert_nothing_left(alice, bob)
    # 3. nor may he call in the clear; the refusal says what is wrong
    house = House(Link())
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], encryption="required")
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", SDP)
    assert alice.final().status == 488
    assert "encryption-required" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice, bob)


def test_a_phone_that_begins_to_encrypt_in_mid_call_waits_for_our_key(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    alice.ask("INVITE", SECURE)
    answer = parse(alice.answers("INVITE")[-1].body).audio
    assert answer is not None
    # 1. our key is in the answer, drawn by the engine after it was told
    assert [(line.tag, line.suite) for line in answer.crypto] == [(7, SUITE)]
    assert completed(house)[-1] == (Crypto(SUITE, KEY.hex()),)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
