"""Which keys a leg gets: the setting against what the peer's line says."""

import pytest

from offhook.calls.encryption import EVERYBODYS, PLAIN, SHAKEN, KeyChoice, Security, for_answer, for_offer, of_endpoint
from offhook.calls.outcome import Outcome
from offhook.calls.ports import KeyKind
from offhook.sdp.crypto import CryptoLine
from offhook.sdp.description import Media
from offhook.sip.flow import Transport
from tests.support.messages import make_flow

CLEAR, TLS = make_flow(), make_flow(transport=Transport.TLS)
LINES = (CryptoLine(1, "AES_256_CM_HMAC_SHA1_80", "00"), CryptoLine(2, EVERYBODYS, "00"))
PRINTS = (("sha-256", "AA"),)


def line(protocol: str, crypto: tuple[CryptoLine, ...] = (), **more: object) -> Media:
    return Media("audio", 4000, protocol, crypto=crypto, **more)  # type: ignore[arg-type]


def sdes(*suites: str) -> KeyChoice:
    return KeyChoice(KeyKind.SDES, suites)


@pytest.mark.parametrize(
    ("encryption", "media", "expected"),
    [
        ("optional", line("RTP/AVP"), PLAIN),
        ("optional", line("RTP/SAVP", LINES), sdes("AES_256_CM_HMAC_SHA1_80")),
        ("optional", line("RTP/AVP", LINES), sdes("AES_256_CM_HMAC_SHA1_80")),
        ("optional", line("RTP/SAVP"), "cipher_mismatch"),
        ("optional", line("UDP/TLS/RTP/SAVP", fingerprints=PRINTS), SHAKEN),
        ("optional", line("UDP/TLS/RTP/SAVPF", fingerprints=PRINTS, ufrag="u"), SHAKEN),
        ("required", line("RTP/AVP"), "encryption_required"),
        ("required", line("RTP/AVP", LINES), sdes("AES_256_CM_HMAC_SHA1_80")),
        ("forbidden", line("RTP/SAVP", LINES), "encryption_forbidden"),
        ("forbidden", line("UDP/TLS/RTP/SAVP", fingerprints=PRINTS), "encryption_forbidden"),
        ("forbidden", line("RTP/AVP", LINES), PLAIN),
        ("forbidden", line("UDP/TLS/RTP/SAVPF", fingerprints=PRINTS, ufrag="u", rtcp_mux=True), SHAKEN),
        # ICE for two components is not a browser's.
        ("forbidden", line("UDP/TLS/RTP/SAVPF", fingerprints=PRINTS, ufrag="u"), "encryption_forbidden"),
    ],
)
def test_answers(encryption: str, media: Media, expected: KeyChoice | str) -> None:
    found = for_answer(media, Security(encryption))
    assert (found.row.code if isinstance(found, Outcome) else found) == expected


def test_the_ciphers_of_the_setting_choose_among_the_peers_lines() -> None:
    assert for_answer(line("RTP/SAVP", LINES), Security(ciphers=(EVERYBODYS,))) == sdes(EVERYBODYS)
    refused = for_answer(line("RTP/SAVP", LINES), Security(ciphers=("AEAD_AES_256_GCM_8",)))
    assert isinstance(refused, Outcome)
    assert refused.text == ("Offered: AES_256_CM_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_80; allowed here: AEAD_AES_256_GCM")


@pytest.mark.parametrize(
    ("encryption", "flow", "webrtc", "expected"),
    [
        ("default", CLEAR, False, PLAIN),
        ("default", TLS, False, sdes("AEAD_AES_128_GCM", EVERYBODYS)),
        ("required", CLEAR, False, sdes("AEAD_AES_128_GCM", EVERYBODYS)),
        ("forbidden", TLS, False, PLAIN),
        ("forbidden", TLS, True, SHAKEN),
    ],
)
def test_offers(encryption: str, flow: object, webrtc: bool, expected: KeyChoice) -> None:
    assert for_offer(flow, webrtc, of_endpoint(encryption, ())) == expected  # type: ignore[arg-type]


def test_an_offer_has_two_lines_at_most_and_one_where_everybodys_is_not_listed() -> None:
    assert for_offer(TLS, False, Security(ciphers=(EVERYBODYS, "AEAD_AES_128_GCM"))).suites == (EVERYBODYS,)
    assert for_offer(TLS, False, Security(ciphers=("AEAD_AES_256_GCM_8",))).suites == ("AEAD_AES_256_GCM",)
