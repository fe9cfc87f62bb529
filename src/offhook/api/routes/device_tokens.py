"""Tokens that a page renews by itself: `/api/fabric/subscriber/devices/token|refresh` (API.md 4.3, RFC 9449).

The page holds a key, its token names the key's fingerprint, and each renewal proves that the page still holds it.
"""

from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.auth import source_of
from offhook.api.bearers import Asking
from offhook.api.describe import described, record, text, whole
from offhook.api.errors import ApiError, Fault, Invalid
from offhook.api.ports import Platform
from offhook.api.requests import body_object, note_ignored
from offhook.api.token_ports import Holder
from offhook.sip.tokens import MEMBER

router = APIRouter(tags=["Browser tokens"])
TOKEN, REFRESH = "/api/fabric/subscriber/devices/token", "/api/fabric/subscriber/devices/refresh"
USUAL, SHORTEST, LONGEST = 900, 60, 86_400
"""Seconds that such a token lives: unless asked otherwise, at least, at most."""
_TAKES = record("DeviceProof", "dpop_token", dpop_token=text(), expire_in=whole(SHORTEST, LONGEST))
_GIVES = record(
    "DeviceToken", "token", "expires_at", "expires_in", token=text(), expires_at=whole(), expires_in=whole()
)


@router.post(TOKEN, **described(takes=_TAKES, gives=_GIVES, errors=(403,)))
async def create_device_token(request: Request, response: Response, holder: Asking) -> dict[str, Any]:
    """A member's token with the scope `sat:refresh` becomes one that its page renews as long as it holds the key."""
    return await _renewed(request, response, holder, TOKEN, by_hash=False)


@router.post(REFRESH, **described(takes=_TAKES, gives=_GIVES, errors=(403,)))
async def refresh_device_token(request: Request, response: Response, holder: Asking) -> dict[str, Any]:
    """The next one; the proof names the token that it renews by its hash."""
    return await _renewed(request, response, holder, REFRESH, by_hash=True)


async def _renewed(request: Request, response: Response, holder: Holder, path: str, by_hash: bool) -> dict[str, Any]:
    platform: Platform = request.app.state.platform
    if holder.tier != MEMBER or not holder.fingerprint:
        text_ = "Only a member's token with scope sat:refresh and a fingerprint is renewed by its page"
        raise ApiError(403, "token_not_renewable", text_)
    body = await body_object(request)
    note_ignored(response, body, frozenset({"dpop_token", "expire_in"}))
    proof, seconds = body.get("dpop_token"), body.get("expire_in", USUAL)
    if not isinstance(proof, str) or not proof:
        raise Invalid(Fault("dpop_token", "missing_required_parameter", "dpop_token is required"))
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not SHORTEST <= seconds <= LONGEST:
        message = f"Expire_in must be between {SHORTEST} and {LONGEST} seconds"
        raise Invalid(Fault("expire_in", "invalid_parameter", message))
    token = request.headers.get("authorization", "").partition(" ")[2].strip()
    wrong = platform.token_office.unproven(proof, holder.fingerprint, path, token if by_hash else None)
    if wrong:
        request.app.state.attempts.failed(source_of(request))
        raise Invalid(Fault("dpop_token", "proof_wrong", f"Dpop_token is refused: {wrong}"))
    response.headers["Cache-Control"] = "no-store"
    return platform.token_office.renewable(holder, seconds)
