"""Basic authentication with a project id and an API token, and the scopes that a token opens (API.md 1.2).

A route says what it needs by the type of one argument: `token: Calling`.
"""

import base64
import binascii
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.openapi.models import HTTPBase
from fastapi.security.base import SecurityBase

from offhook.api.errors import ApiError
from offhook.api.idempotency import look_up
from offhook.api.ports import Platform, TokenRow
from offhook.api.queries import check_query
from offhook.api.requests import raw_body
from offhook.api.sessions import HEADER, Sessions
from offhook.sip.rate import Rates
from offhook.turns import Turns

READS = ("GET", "HEAD", "OPTIONS")
CHANGES = ("PUT", "PATCH", "DELETE")
MINUTE = 60.0
PROJECTS = 10_000
"""Projects whose rate is remembered."""
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


class Quotas:
    """Requests of a project per second (limits.api_reads_per_second, limits.api_writes_per_second), bursts of twice that."""

    def __init__(self, reads: float, writes: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limits = {
            False: (Rates(reads, 2 * reads, PROJECTS), "api_reads_per_second", reads),
            True: (Rates(writes, 2 * writes, PROJECTS), "api_writes_per_second", writes),
        }

    def take(self, project_id: str, write: bool) -> None:
        """Counts a request. Raises 429."""
        rates, name, limit = self._limits[write]
        if not rates.allow(project_id, self._clock()):
            wait = {"Retry-After": str(math.ceil(rates.wait(project_id)))}
            raise ApiError(429, "rate_limit_exceeded", f"More than {limit:g} requests a second (limits.{name})", wait)


class _Basic(SecurityBase):
    """Only says in OpenAPI what `authenticate` does."""

    def __init__(self) -> None:
        self.model, self.scheme_name = HTTPBase(scheme="basic", description="Project id and API token"), "apiToken"

    async def __call__(self) -> None:
        """Nothing to do."""


def unauthorized(code: str, message: str, request: Request, bearer: bool = False) -> ApiError:
    """401 with its challenge; `bearer` on routes that take a token of API.md 4.3 too. The dashboard's own requests get a
    scheme that no browser opens a window for."""
    scheme = "Cookie" if HEADER in request.headers else "Basic"
    challenge = f'{scheme} realm="offhook"' + (', Bearer error="invalid_token"' if bearer else "")
    return ApiError(401, code, message, {"WWW-Authenticate": challenge})


def source_of(request: Request) -> str:
    """The address a request came from."""
    return request.client.host if request.client else ""


def _credentials(request: Request) -> tuple[str, str]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise unauthorized("credentials_missing", "Send the project id and an API token by Basic auth", request)
    try:
        user, colon, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        user = colon = secret = ""
    if not colon:
        message = "The Authorization header is not Basic base64(project:token)"
        raise unauthorized("credentials_wrong", message, request)
    return user, secret


def check_origin_of_write(request: Request) -> None:
    """Raises 403 for a write by cookie that another site's page could have sent."""
    if request.method not in READS and HEADER not in request.headers:
        message = "A write by cookie needs the header X-Offhook-Request: 1"
        raise ApiError(403, "csrf_header_missing", message)


def _by_cookie(request: Request) -> TokenRow | None:
    sessions: Sessions = request.app.state.sessions
    session = sessions.read(request)
    row = request.app.state.platform.api_tokens.get(session.token_id) if session is not None else None
    if row is not None:
        check_origin_of_write(request)
    found: TokenRow | None = row
    return found


def _by_password(request: Request) -> TokenRow:
    platform: Platform = request.app.state.platform
    attempts: Attempts = request.app.state.attempts
    source = source_of(request)
    attempts.check(source)
    project, text = _credentials(request)
    token = platform.token(project, text)
    if token is None:
        attempts.failed(source)
        raise unauthorized("credentials_wrong", "No such project id and API token", request)
    return token


async def authenticate(request: Request, _: Annotated[None, Depends(_Basic())]) -> TokenRow:
    """The API token of the request, by Basic auth or by the dashboard's cookie. Raises 401, 403 or 429."""
    token = _by_cookie(request) if "authorization" not in request.headers else None
    found = request.state.token = token or _by_password(request)
    quotas: Quotas = request.app.state.quotas
    quotas.take(found.project_id, request.method not in READS)
    return found


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


def scope(*names: str) -> Callable[[Request, Response, TokenRow], AsyncIterator[TokenRow]]:
    """A dependency that lets only tokens with one of the scopes pass, and a POST that was answered before no further.
    Changes of one object follow each other: each is made from what the one before has left."""

    async def check(
        request: Request, response: Response, token: Annotated[TokenRow, Depends(authenticate)]
    ) -> AsyncIterator[TokenRow]:
        need(token, *names)
        check_query(request, response)
        await look_up(request, token.project_id)
        id_ = request.path_params.get("id_")
        if id_ is None or request.method not in CHANGES:
            yield token
            return
        # Its body is here before: a slow sender keeps nobody waiting.
        await raw_body(request)
        turns: Turns = request.app.state.turns
        async with turns.of(id_):
            yield token

    return check


AnyToken = Annotated[TokenRow, Depends(authenticate)]
"""Right credentials, whatever they open."""
Calling = Annotated[TokenRow, Depends(scope("calling"))]
Numbers = Annotated[TokenRow, Depends(scope("numbers"))]
Management = Annotated[TokenRow, Depends(scope("management"))]
Storage = Annotated[TokenRow, Depends(scope("storage"))]
Monitor = Annotated[TokenRow, Depends(scope("monitor"))]
Reading = Annotated[TokenRow, Depends(scope("calling", "monitor"))]
"""GET of calls, logs, registrations, events and trunks: below /api/offhook and /api/voice `monitor` reads everything."""
