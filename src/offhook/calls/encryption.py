"""Is a leg's sound encrypted, and by which keys? The setting of an endpoint or trunk meets what the peer's line says.

Lives here: the choice. Never here: lines (sdp/crypto.py) or keys, which the engine draws. A browser always shakes hands.
"""

from offhook.calls.outcome import Outcome, refusal
from offhook.calls.ports import KeyKind
from offhook.record import record
from offhook.sdp.crypto import SUITES
from offhook.sdp.description import Media
from offhook.sip.flow import Flow

EVERYBODYS = "AES_CM_128_HMAC_SHA1_80"
"""The suite that every phone with SRTP has."""
HOSTED_NAMES = {"AEAD_AES_256_GCM_8": "AEAD_AES_256_GCM"}
"""Names of the API for suites that SDP spells otherwise (API.md 1.9)."""


@record
class Security:
    """`encryption` is required, optional or forbidden; `ciphers` are suites by their API names, in order, none for all."""

    encryption: str = "optional"
    ciphers: tuple[str, ...] = ()

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites allowed, by their names in SDP."""
        named = (HOSTED_NAMES.get(name, name) for name in self.ciphers)
        return tuple(dict.fromkeys(name for name in named if name in SUITES)) or tuple(SUITES)


@record
class KeyChoice:
    """Where the keys come from; `suites` to draw keys for, SDES only."""

    keys: KeyKind
    suites: tuple[str, ...] = ()


PLAIN = KeyChoice(KeyKind.PLAIN)
SHAKEN = KeyChoice(KeyKind.DTLS)


def of_endpoint(encryption: str, ciphers: tuple[str, ...]) -> Security:
    """An endpoint's setting; `default` is the space's, which is optional."""
    return Security("optional" if encryption == "default" else encryption, ciphers)


def for_offer(flow: Flow, webrtc: bool, security: Security) -> KeyChoice:
    """What an offer of ours asks for. Keys are not sent over signalling that anybody can read, unless that is demanded."""
    if webrtc:
        return SHAKEN
    if security.encryption == "forbidden" or (security.encryption == "optional" and not flow.secure):
        return PLAIN
    suites = security.suites
    # The first of the list, and the one that every phone has: more lines only make requests longer (CALL-21).
    return KeyChoice(
        KeyKind.SDES, tuple(dict.fromkeys((suites[0], *(EVERYBODYS for _ in suites if EVERYBODYS in suites))))
    )


def profile(choice: KeyChoice, security: Security) -> str:
    """The profile of an offer to a phone: RTP/AVP with keys leaves the choice to the peer (RFC 8643)."""
    return "RTP/SAVP" if choice.keys is KeyKind.SDES and security.encryption == "required" else "RTP/AVP"


def for_answer(media: Media, security: Security) -> KeyChoice | Outcome:
    """What the peer's offer leads to; an outcome refuses it."""
    if media.handshake:
        if security.encryption == "forbidden" and not media.webrtc:
            return _forbidden()
        return SHAKEN
    taken = next((line.suite for line in media.crypto if line.suite in security.suites), None)
    if media.secure and security.encryption == "forbidden":
        return _forbidden()
    if security.encryption != "forbidden" and taken is not None:
        return KeyChoice(KeyKind.SDES, (taken,))
    if media.secure:
        said = ", ".join(line.suite for line in media.crypto) or "no key that can be taken"
        return refusal("cipher_mismatch", f"Offered: {said}; allowed here: {', '.join(security.suites)}")
    if security.encryption == "required":
        return refusal("encryption_required", "The offer has no SRTP key, but encryption is required")
    return PLAIN


def _forbidden() -> Outcome:
    return refusal("encryption_forbidden", "The offer demands SRTP, but encryption is forbidden")
