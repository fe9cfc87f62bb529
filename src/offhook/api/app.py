"""The FastAPI application: request ids, the shapes of errors, the routes, and the web phone's page at `/`."""

import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offhook.api.auth import Attempts
from offhook.api.errors import ApiError, Fault, Invalid
from offhook.api.ports import Ha1, Platform
from offhook.api.routes import calls, health, phone_numbers, provision, registrations, sip_endpoints, trunks

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")

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


class RequestIds:
    """ASGI middleware: every response carries X-Request-Id, the request's own if it is fit to be repeated."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        await self._app(scope, receive, with_id)


def create(
    platform: Platform, ha1: Ha1, settings: ApiSettings, clock: Callable[[], float], page: Path | None
) -> FastAPI:
    """The application. `page` is the folder of the built web phone; None serves a hint in its place."""
    app = FastAPI(title="Offhook", version=platform.version, redirect_slashes=False, openapi_url="/openapi.json")
    app.state.platform = platform
    app.state.ha1 = ha1
    app.state.attempts = Attempts(settings.login_failures_per_minute, clock)
    app.state.body_bytes = settings.body_bytes
    app.state.password_min_length = settings.password_min_length
    app.add_middleware(RequestIds)
    of_calls = (calls.router, registrations.router, provision.router)
    for routes in (health.router, sip_endpoints.router, phone_numbers.router, trunks.router, *of_calls):
        app.include_router(routes)
    _add_errors(app)
    _add_slash_rule(app)
    _add_page(app, page)
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def plain(request: Request, error: ApiError) -> JSONResponse:
        return JSONResponse(error.body(), error.status, error.headers)

    @app.exception_handler(Invalid)
    async def invalid(request: Request, error: Invalid) -> JSONResponse:
        return JSONResponse(error.body(request.url.path, request.url.netloc), 422)

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            Fault(str(one["loc"][-1]), "invalid_parameter", f"{one['loc'][-1]}: {one['msg']}") for one in error.errors()
        ]
        return JSONResponse(Invalid(*faults).body(request.url.path, request.url.netloc), 422)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase
        code = "_".join(re.findall(r"[a-z]+", phrase.lower()))
        message = f"{request.method} {request.url.path[:200]}: {phrase}"
        return JSONResponse(ApiError(error.status_code, code, message).body(), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        message = "The server failed on this request; its log says more"
        return JSONResponse(ApiError(500, "internal_error", message).body(), 500)


def _add_slash_rule(app: FastAPI) -> None:
    @app.middleware("http")
    async def without_trailing_slash(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        path = request.scope["path"]
        if len(path) > 1 and path.startswith("/api/") and path.endswith("/"):
            request.scope["path"] = path.rstrip("/")
        return await call_next(request)


class _Page(StaticFiles):
    """The built page with its security headers; assets carry their hash in the name and may be kept for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
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
