"""Routes that take a subscriber's token too (API.md 1.2): who asks, an API token or the holder of a browser's."""

from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.openapi.models import HTTPBase
from fastapi.security.base import SecurityBase

from offhook.api.auth import authenticate, need, source_of, unauthorized
from offhook.api.errors import ApiError
from offhook.api.idempotency import look_up
from offhook.api.ports import Platform
from offhook.api.queries import check_query
from offhook.api.token_ports import Holder, Wrong


class _Bearer(SecurityBase):
    """Only says in OpenAPI what `asking` does."""

    def __init__(self) -> None:
        self.model, self.scheme_name = HTTPBase(scheme="bearer", description="A browser's token"), "browserToken"

    async def __call__(self) -> None:
        """Nothing to do."""


API_TOKEN = ""
"""The tier of an API token: it may see and do everything of its project."""


async def asking(request: Request, response: Response, _: Annotated[None, Depends(_Bearer())]) -> Holder:
    """Raises 401, 403 or 429."""
    scheme, _blank, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = await authenticate(request, None)
        need(token, "calling")
        check_query(request, response)
        await look_up(request, token.project_id)
        return Holder(token.project_id, "", API_TOKEN, (), 0)
    platform: Platform = request.app.state.platform
    request.app.state.attempts.check(source_of(request))
    found = platform.token_office.holder(value.strip(), request.headers.get("origin", ""))
    if isinstance(found, Wrong):
        request.app.state.attempts.failed(source_of(request))
        raise unauthorized(found.code, found.text, request, bearer=True)
    check_query(request, response)
    return found


Asking = Annotated[Holder, Depends(asking)]


def tier_not_allowed(holder: Holder, what: str) -> ApiError:
    """403: a token of that tier may not do it."""
    return ApiError(403, "token_tier_not_allowed", f"A token of the tier {holder.tier} may not {what}")
