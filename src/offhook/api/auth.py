"""Basic authentication with a project id and an API token, and the scopes that a token opens (API.md 1.2).

A route says what it needs by the type of one argument: `token: Calling`.
"""

import base64
import binascii
from collections import deque
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBase
from fastapi.security.base import SecurityBase

from offhook.api.errors import ApiError
from offhook.api.ports import Platform, TokenRow

MINUTE = 60.0
SOURCES = 10_000
"""Source addresses whose failures are remembered; beyond it the oldest are forgotten."""


class Attempts:
    """Wrong credentials per source address within a minute (limits.login_failures_per_minute)."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit, self._clock = limit, clock
        self._failures: dict[str, deque[float]] = {}

    def check(self, source: str) -> None:
        """Raises 429 once the source has failed too often."""
        failures = self._failures.get(source)
        while failures and failures[0] < self._clock() - MINUTE:
            failures.popleft()
        if failures and len(failures) >= self._limit:
            wait = {"Retry-After": str(int(failures[0] + MINUTE - self._clock()) + 1)}
            message = f"{self._limit} wrong logins in a minute from this address (limits.login_failures_per_minute)"
            raise ApiError(429, "rate_limit_exceeded", message, wait)

    def failed(self, source: str) -> None:
        """Counts a failure."""
        if source not in self._failures and len(self._failures) >= SOURCES:
            self._failures.pop(next(iter(self._failures)))
        self._failures.setdefault(source, deque(maxlen=self._limit)).append(self._clock())


class _Basic(SecurityBase):
    """Only says in OpenAPI what `authenticate` does."""

    def __init__(self) -> None:
        self.model, self.scheme_name = HTTPBase(scheme="basic", description="Project id and API token"), "apiToken"

    async def __call__(self) -> None:
        """Nothing to do."""


def unauthorized(code: str, message: str, bearer: bool = False) -> ApiError:
    """401 with its challenge; `bearer` on routes that take a token of API.md 4.3 too."""
    challenge = 'Basic realm="offhook"' + (', Bearer error="invalid_token"' if bearer else "")
    return ApiError(401, code, message, {"WWW-Authenticate": challenge})


def source_of(request: Request) -> str:
    """The address a request came from."""
    return request.client.host if request.client else ""


def _credentials(request: Request) -> tuple[str, str]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise unauthorized("credentials_missing", "Send the project id and an API token by Basic auth")
    try:
        user, colon, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        user = colon = secret = ""
    if not colon:
        raise unauthorized("credentials_wrong", "The Authorization header is not Basic base64(project:token)")
    return user, secret


def authenticate(request: Request, _: Annotated[None, Depends(_Basic())]) -> TokenRow:
    """The token of the request. Raises 401 or 429."""
    platform: Platform = request.app.state.platform
    attempts: Attempts = request.app.state.attempts
    source = source_of(request)
    attempts.check(source)
    project, text = _credentials(request)
    token = platform.token(project, text)
    if token is None:
        attempts.failed(source)
        raise unauthorized("credentials_wrong", "No such project id and API token")
    return token


SCOPES = ("calling", "numbers", "management", "storage", "video", "monitor")
"""Scopes that open something."""
KEPT_SCOPES = ("chat", "datasphere", "fax", "messaging", "pubsub", "tasking")
"""Scopes that are accepted and kept, and open nothing."""


def holds(token: TokenRow, *scopes: str) -> bool:
    """True if a token has one of the scopes; `management` implies `monitor`."""
    wanted = {*scopes, *(("management",) if "monitor" in scopes else ())}
    return bool(wanted & token.permissions)


def need(token: TokenRow, *scopes: str) -> None:
    """Raises 403 unless the token has one of the scopes."""
    if not holds(token, *scopes):
        named = " or ".join(f"'{one}'" for one in scopes)
        raise ApiError(403, "scope_missing", f"This token lacks the scope {named}")


def scope(*names: str) -> Callable[[TokenRow], TokenRow]:
    """A dependency that lets only tokens with one of the scopes pass."""

    def check(token: Annotated[TokenRow, Depends(authenticate)]) -> TokenRow:
        need(token, *names)
        return token

    return check


AnyToken = Annotated[TokenRow, Depends(authenticate)]
"""Right credentials, whatever they open."""
Calling = Annotated[TokenRow, Depends(scope("calling"))]
Numbers = Annotated[TokenRow, Depends(scope("numbers"))]
Management = Annotated[TokenRow, Depends(scope("management"))]
Storage = Annotated[TokenRow, Depends(scope("storage"))]
Video = Annotated[TokenRow, Depends(scope("video"))]
Monitor = Annotated[TokenRow, Depends(scope("monitor"))]
Reading = Annotated[TokenRow, Depends(scope("calling", "monitor"))]
"""GET of calls, logs, registrations, events and trunks: below /api/offhook and /api/voice `monitor` reads everything."""
