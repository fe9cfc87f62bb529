"""Bearer tokens in SIP (RFC 8898, AUTH-10, AUTH-12): what a token claims, judged by the clock, the realm and the origin.

Lives here: the judgement. Never here: signatures and key sets; a `TokenReader` of the shell checks those, so that the core
needs no cryptography beyond hashes.
"""

from dataclasses import dataclass
from typing import Protocol

from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_auth
from offhook.sip.flow import Flow
from offhook.sip.location import Account
from offhook.sip.message import Request

SKEW = 60.0
"""Seconds by which clocks of issuer and server may differ (AUTH-10)."""
LONGEST = 8_000
"""Characters of a token that is looked at: RS256 tokens with many claims stay below 2,000."""
MEMBER = "member"
"""The tier that registers, is called and calls (API.md 4.3)."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token with a valid signature says. Times are Unix seconds; `subject` is an endpoint's user name; `origin` is
    the only origin from whose pages it is good, "" for any (WS-2)."""

    subject: str
    audience: tuple[str, ...]
    expires_at: float
    not_before: float = 0.0
    tier: str = MEMBER
    origin: str = ""
    fingerprint: str = ""
    """Of the key whose holder may renew it without a backend; "" for nobody (API.md 4.3)."""


class TokenReader(Protocol):
    """Checks signature and algorithm (never `none`). Called on the loop's thread, so keys are at hand already."""

    def read(self, token: str) -> Claims | None:
        """The claims; None when the signature is not that of a key we know, or `exp`, `aud` or `sub` is missing."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a token is not good: a slug of the catalogue, a sentence, and 403 where a new challenge would not help."""

    slug: str
    text: str
    status: int = 401


WRONG_KEY = Fault("token-wrong-key", "The token is not signed by a key of this server, or was altered")


def bearer(request: Request, flow: Flow) -> str | None:
    """The Bearer token of a request, in either field, because clients put it into Authorization whatever the method.

    None over a clear transport, where it would be anybody's who listens (RFC 8898 section 5)."""
    if not (flow.secure or flow.loopback):
        return None
    for name in ("Authorization", "Proxy-Authorization"):
        for value in request.headers.all(name):
            if value[:7].lower() == "bearer ":
                return _token68(value)
    return None


def _token68(value: str) -> str:
    try:
        return parse_auth(value)[1].get("token68", "")
    except PeerError:
        return ""


def judge(claims: Claims, realm: str, flow: Flow, unix: float, method: str = "") -> Fault | None:
    """None when the claims are good here and now (AUTH-12)."""
    if realm not in claims.audience:
        return Fault("token-other-space", f"The token is for {_named(claims.audience)}, not for {realm}", 403)
    if claims.not_before > unix + SKEW:
        return Fault("token-early", "The token is not valid yet: the clocks of issuer and server differ")
    if claims.expires_at <= unix - SKEW:
        return Fault("token-expired", f"The token ended {round(unix - claims.expires_at)} seconds ago")
    if claims.origin and claims.origin != flow.origin:
        return Fault("token-other-space", f"The token is for pages of {claims.origin}", 403)
    if claims.tier != MEMBER and method not in (
        "",
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "PRACK",
        "UPDATE",
        "INFO",
        "REFER",
    ):
        what = "register" if method == "REGISTER" else f"send {method}"
        return Fault("token-tier-not-allowed", f"A token of the tier {claims.tier} may not {what}", 403)
    return None


def fits(claims: Claims, account: Account) -> Fault | None:
    """A token of one tier is none for an account of another: a guest's does not speak for an endpoint."""
    if claims.tier == account.tier:
        return None
    return Fault(
        "token-tier-not-allowed", f"A token of the tier {claims.tier} does not speak for {account.username}", 403
    )


def _named(audience: tuple[str, ...]) -> str:
    return ", ".join(audience[:3]) or "nobody"
