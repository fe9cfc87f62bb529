"""The outermost layer: what holds for every request, whatever path it names (API.md 1.3).

Every response carries X-Request-Id, also those to errors and unknown paths; whatever is logged meanwhile carries it too. A
trailing slash is ignored. A failure of ours is a 500 in words, and a traceback in the log.
"""

import re
import traceback
import uuid
from collections.abc import Callable

import structlog
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offhook.api.errors import ApiError, as_response, family_of

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
_NOSNIFF = (b"x-content-type-options", b"nosniff")
"""Names of strangers stand in our JSON; no browser may take it for a page."""
Answered = Callable[[str, int, float], None]
"""Is told of each answer: family, status, seconds."""
log: structlog.typing.FilteringBoundLogger = structlog.get_logger("offhook")


def request_id_of(scope: Scope) -> str:
    """The request's own id if it is fit to be repeated, else a new one."""
    given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


class Entry:
    """ASGI middleware, the outermost of ours."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float], answered: Answered) -> None:
        self._app, self._clock, self._answered = app, clock, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        scope["path"] = _without_slash(scope["path"])
        started, began = False, self._clock()

        async def with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                took = self._clock() - began
                self._answered(family_of(scope["path"]), message["status"], took)
                tell = log.debug if message["status"] < 400 else log.info
                tell("request", verb=scope["method"], path=scope["path"], status=message["status"], seconds=took)
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                if all(name != _NOSNIFF[0] for name, _ in message["headers"]):
                    message["headers"].append(_NOSNIFF)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, with_id)
            except ClientDisconnect:
                return  # who has left in the middle of his request is told nothing
            except Exception:
                log.error("request failed", verb=scope["method"], path=scope["path"], text=traceback.format_exc())
                if started:
                    raise
                error = ApiError(500, "internal_error", f"The server failed; its log says more under {request_id}")
                await as_response(Request(scope), error)(scope, receive, with_id)


def _without_slash(path: str) -> str:
    return path.rstrip("/") if path.endswith("/") and path.startswith(("/api/", "/2010-04-01/")) else path
