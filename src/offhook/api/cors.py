"""Which pages of other origins may call us: those of `http.cors_origins` and those with a widget, and only routes that take
a bearer token or nothing (API.md 1.2). The dashboard's cookie never crosses origins."""

import re
from collections.abc import Callable, Iterable
from typing import cast

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_BEARER = re.compile(
    r"/api/fabric/addresses(/[^/]+)?|/api/fabric/subscriber/invites|/api/offhook/provision|/api/offhook/subscribers/login"
    r"|/api/fabric/subscriber/devices/(token|refresh)|/api/offhook/calls/[^/]+/client_reports|/healthz|/readyz|/openapi\.json|/docs(/errors)?"
)
_WIDGETS = "/api/fabric/embeds/tokens"
"""Each widget has origins of its own, which its route judges by the Origin field."""
_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "X-Request-Id")
_EXPOSED = ("X-Request-Id", "Retry-After", "X-Offhook-Ignored", "Idempotency-Replayed")
AGE = 600
"""Seconds a browser may remember what is allowed."""


class _Origins:
    """Those of the settings, and those that some widget has now."""

    def __init__(self, listed: frozenset[str], of_widgets: Callable[[str], bool]) -> None:
        self._listed, self._of_widgets = listed, of_widgets

    def __contains__(self, origin: str) -> bool:
        return origin in self._listed or (origin != "*" and self._of_widgets(origin))


class Cors:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, origins: Iterable[str], of_widgets: Callable[[str], bool]) -> None:
        self._app = app
        self._listed = self._allowing(_Origins(frozenset(origins), of_widgets))
        self._any = self._allowing(("*",))

    def _allowing(self, origins: "tuple[str, ...] | _Origins") -> ASGIApp:
        return CORSMiddleware(
            self._app,
            allow_origins=cast("tuple[str, ...]", origins),
            allow_methods=("GET", "POST"),
            allow_headers=_HEADERS,
            expose_headers=_EXPOSED,
            max_age=AGE,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            path = scope["path"]
            app = self._any if path == _WIDGETS else self._listed if _BEARER.fullmatch(path) else app
        await app(scope, receive, send)
