"""The FastAPI application: the routes, the shapes of errors, the OpenAPI document, and the web phone's page at `/`."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import Scope

from offhook.api.auth import Attempts, Quotas
from offhook.api.changes import ConfigChanges
from offhook.api.cors import Cors
from offhook.api.entry import Answered, Entry
from offhook.api.errors import ApiError, Fault, Invalid, as_response
from offhook.api.everywhere import Everywhere
from offhook.api.idempotency import Recording, Replayed, Running
from offhook.api.ports import Ha1, Platform
from offhook.api.routes import (
    addresses,
    call_details,
    caller_ids,
    calling,
    calls,
    certificates,
    device_tokens,
    devices,
    docs,
    domain_applications,
    endpoint_states,
    events,
    fabric_endpoints,
    fabric_tokens,
    health,
    later,
    login,
    member_login,
    phone_numbers,
    projects,
    provision,
    recordings,
    registrations,
    resources,
    sip_addresses,
    sip_endpoints,
    sip_gateways,
    sip_profile,
    subscribers,
    subscriptions,
    tokens,
    trunks,
    voice_logs,
    webhooks,
    widgets,
)
from offhook.api.sessions import Sessions
from offhook.api.widgets import is_origin
from offhook.turns import Turns

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; media-src 'self' blob:; "
        "style-src 'self' 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(self), speaker-selection=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
}
"""Sent with the page and its assets. Inline styles only inside shadow roots; any page may load the element's script, which
is public, while its WebSocket must come from an origin that is allowed (WS-2)."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What the API reads of the settings."""

    body_bytes: int
    login_failures_per_minute: int
    password_min_length: int
    writes_per_second: float = 1000
    reads_per_second: float = 5000
    cors_origins: tuple[str, ...] = ()
    guest_addresses: int = 10


def create(
    platform: Platform,
    ha1: Ha1,
    settings: ApiSettings,
    clock: Callable[[], float],
    page: Path | None,
    answered: Answered = lambda family, status, seconds: None,
    everywhere: Callable[[], Awaitable[None]] | None = None,
) -> FastAPI:
    """The application. `page` is the folder of the built web phone; None serves a hint in its place; `answered` counts
    requests. A write is answered once `everywhere` has returned: every node obeys it."""
    app = FastAPI(title="Offhook", version=platform.version, redirect_slashes=False, openapi_url=None)
    app.state.platform = platform
    app.state.ha1 = ha1
    app.state.attempts = Attempts(settings.login_failures_per_minute, clock)
    app.state.body_bytes = settings.body_bytes
    app.state.guest_addresses = settings.guest_addresses
    app.state.password_min_length = settings.password_min_length
    app.state.quotas = Quotas(settings.reads_per_second, settings.writes_per_second, clock)
    app.state.idempotency = Running(platform.answers)
    app.state.turns = Turns()
    app.state.guessing = asyncio.Semaphore(member_login.AT_ONCE)
    app.state.sessions = Sessions(platform.session_key, platform.answers, time.time)
    # The last one added is the outermost.
    if everywhere is not None:
        app.add_middleware(Everywhere, everywhere)
    app.add_middleware(ConfigChanges)
    app.add_middleware(Recording, app.state.idempotency)
    app.add_middleware(Cors, settings.cors_origins, lambda origin: is_origin(platform, origin))
    app.add_middleware(Entry, clock, answered)
    for one in ROUTERS:
        _both_changes(one)
        app.include_router(one)
    _add_errors(app)
    _add_page(app, page)
    return app


_SERVED: tuple[APIRouter, ...] = (
    docs.router,
    health.router,
    login.router,
    member_login.router,
    sip_endpoints.router,
    fabric_endpoints.router,
    phone_numbers.router,
    caller_ids.router,
    sip_gateways.router,
    domain_applications.router,
    sip_addresses.router,
    trunks.router,
    calling.router,
    call_details.router,
    calls.router,
    voice_logs.router,
    recordings.router,
    registrations.router,
    devices.router,
    endpoint_states.router,
    provision.router,
    certificates.router,
    sip_profile.router,
    projects.router,
    tokens.router,
    subscribers.router,
    addresses.router,
    fabric_tokens.router,
    device_tokens.router,
    widgets.router,
    webhooks.router,
    events.router,
    subscriptions.router,
)
"""Every family of routes, in the order in which a path is looked up."""

ROUTERS = (*_SERVED, later.routes((*_SERVED, resources.router)), resources.router)
"""Behind them what is not served yet, and last `resources`, because its `/api/fabric/resources/{id}` would take the names of
the others for ids."""


def _routes() -> Iterator[APIRoute]:
    return (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute))


def _both_changes(router: APIRouter) -> None:
    """PUT and PATCH are the same, and both are served wherever one is written (API.md 1.3)."""
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    served = {(route.path, verb) for route in routes for verb in route.methods or ()}
    for route in routes:
        for verb, twin in (("PUT", "PATCH"), ("PATCH", "PUT")):
            if verb in (route.methods or ()) and (route.path, twin) not in served:
                router.add_api_route(
                    route.path,
                    route.endpoint,
                    methods=[twin],
                    status_code=route.status_code,
                    openapi_extra=route.openapi_extra,
                    tags=route.tags,
                )


def _allowed(path: str) -> set[str]:
    """The verbs that some route takes for a path."""
    return {verb for route in _routes() if route.path_regex.match(path) for verb in route.methods or ()}


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def plain(request: Request, error: ApiError) -> JSONResponse:
        return as_response(request, error)

    @app.exception_handler(Replayed)
    async def replayed(request: Request, answer: Replayed) -> Response:
        return answer.response

    @app.exception_handler(Invalid)
    async def invalid(request: Request, error: Invalid) -> JSONResponse:
        return as_response(request, error)

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> JSONResponse:
        return as_response(request, Invalid(*map(_unreadable, error.errors())))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return as_response(request, _of_routing(request, error))

    @app.exception_handler(DBAPIError)
    async def away(request: Request, error: DBAPIError) -> JSONResponse:
        if isinstance(error, IntegrityError):
            message = "What this belongs to was changed or deleted at the same moment; nothing was done"
            return as_response(request, ApiError(409, "changed_meanwhile", message, {"Retry-After": "1"}))
        if not isinstance(error, InterfaceError | InternalError | OperationalError):
            raise error
        message = "The database does not answer; what was asked for is most likely not done. Calls go on"
        return as_response(request, ApiError(503, "store_unavailable", message, {"Retry-After": "5"}))

    @app.exception_handler(PoolTimeout)
    async def busy(request: Request, error: PoolTimeout) -> JSONResponse:
        message = "More writes wait for the database than it takes; nothing was done. Calls go on"
        return as_response(request, ApiError(503, "store_unavailable", message, {"Retry-After": "5"}))


def _unreadable(error: Mapping[str, Any]) -> Fault:
    field = str(error["loc"][-1])
    if error["type"] == "literal_error":
        names = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return Fault(field, "invalid_parameter_value", f"{field} must be one of: {names}")
    return Fault(field, "invalid_parameter", f"{field}: {error['msg']}")


def _of_routing(request: Request, error: HTTPException) -> ApiError:
    """What the router says in our words. The page, which takes every path, must not turn 404 into 405 or the reverse."""
    status, path = error.status_code, request.url.path
    headers = dict(error.headers or {})
    if status in (404, 405):
        allowed = _allowed(path)
        if allowed and request.method not in allowed:
            status, headers = 405, {"Allow": ", ".join(sorted(allowed))}
        elif later.is_absent(path):
            text = "This family of the hosted platform is not served here"
            return ApiError(404, "feature_not_available", text, number=10001)
        elif path.startswith(("/api/", "/2010-04-01")):
            status, headers = 404, {}
        elif status == 405:
            headers = {"Allow": "GET, HEAD"}
    phrase = HTTPStatus(status).phrase
    code = "_".join(re.findall(r"[a-z]+", phrase.lower()))
    return ApiError(status, code, f"{request.method} {path[:200]}: {phrase}", headers)


class _Page(StaticFiles):
    """The built page with its security headers; assets carry their hash in the name and may be kept for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        request = Request(scope)
        platform: Platform = request.app.state.platform
        safe = platform.certificates.secure_url(request.url.netloc) if scope["scheme"] == "http" else None
        if safe is not None and path in (".", "index.html"):
            # By plain HTTP a page on another machine gets no microphone.
            return RedirectResponse(safe + "/", 307)
        response = await super().get_response(path, scope)
        response.headers.update(PAGE_HEADERS)
        fresh = "no-cache" if "assets/" not in path else "public, max-age=31536000, immutable"
        response.headers["Cache-Control"] = fresh
        return response


def _add_page(app: FastAPI, page: Path | None) -> None:
    if page is not None and (page / "index.html").exists():
        app.mount("/", _Page(directory=page, html=True), name="page")
        return

    @app.get("/", include_in_schema=False)
    async def hint() -> Any:
        return Response("The web phone is not built. Run `make setup`.\n", media_type="text/plain", status_code=503)
