"""Basic authentication with a project id and an API token, and the scopes a token opens (API.md 1.2)."""

import base64
import binascii
from collections import deque
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from offhook.api.errors import ApiError
from offhook.api.ports import Platform, TokenRow

CHALLENGE = {"WWW-Authenticate": 'Basic realm="offhook"'}
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


def _credentials(request: Request) -> tuple[str, str]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise ApiError(401, "credentials_missing", "Send the project id and an API token by Basic auth", CHALLENGE)
    try:
        user, colon, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = colon = secret = ""
    if not colon:
        raise ApiError(
            401, "credentials_wrong", "The Authorization header is not Basic base64(project:token)", CHALLENGE
        )
    return user, secret


def authenticate(request: Request) -> TokenRow:
    """The token of the request. Raises 401 or 429."""
    platform: Platform = request.app.state.platform
    attempts: Attempts = request.app.state.attempts
    source = request.client.host if request.client else ""
    attempts.check(source)
    project, text = _credentials(request)
    token = platform.token(project, text)
    if token is None:
        attempts.failed(source)
        raise ApiError(401, "credentials_wrong", "No such project id and API token", CHALLENGE)
    return token


def scope(name: str, *others: str) -> Callable[[TokenRow], TokenRow]:
    """A dependency that lets only tokens with one of the scopes pass; `management` implies `monitor`."""

    def check(token: Annotated[TokenRow, Depends(authenticate)]) -> TokenRow:
        held = token.permissions
        wanted = {name, *others, *(("management",) if "monitor" in (name, *others) else ())}
        if not wanted & held:
            raise ApiError(403, "scope_missing", f"This token lacks the scope '{name}'")
        return token

    return check


Calling = Annotated[TokenRow, Depends(scope("calling"))]
Monitor = Annotated[TokenRow, Depends(scope("monitor"))]
Management = Annotated[TokenRow, Depends(scope("management"))]
Numbers = Annotated[TokenRow, Depends(scope("numbers"))]
TrunkReader = Annotated[TokenRow, Depends(scope("monitor", "calling"))]
