"""Idempotency-Key (API.md 1.7): a POST that is sent again gets the first answer again, and nothing is done twice.

`look_up` runs once a request has proved who it is and that it may; `Recording` keeps what was answered then, before the
client has it.
"""

import hashlib
import json
import re
from typing import Any, Protocol

from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offhook.api.errors import ApiError, Fault, Invalid
from offhook.api.requests import raw_body

_KEY = re.compile(r"[!-~]{1,255}")
_KEPT = "offhook_answer"
"""Where a request's state says that its answer is to be kept."""
SECRETS = frozenset({"password", "token", "refresh_token", "signing_key", "digest_password"})
"""Members of answers that are told once."""
LARGEST = 262_144
"""Octets of an answer that is kept; no answer to a POST comes near."""


class KeptAnswer(Protocol):
    """An answer that was given: `request` is the SHA-256 of the request's body, `kind` the answer's content type."""

    @property
    def request(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def kind(self) -> str: ...


class KeptAnswers(Protocol):
    """Where answers are kept for a day."""

    async def find(self, key: str) -> KeptAnswer | None: ...
    async def keep(self, key: str, request: str, status: int, body: bytes, kind: str) -> None: ...


class Running:
    """Keys whose first request is not answered yet."""

    def __init__(self, answers: KeptAnswers) -> None:
        self.answers = answers
        self.keys: set[str] = set()


class Replayed(Exception):
    """The answer that was given before."""

    def __init__(self, response: Response) -> None:
        super().__init__("replayed")
        self.response = response


async def look_up(request: Request, project_id: str) -> None:
    """Raises Replayed with the first answer, 409 while that is not there yet, 422 for another body under the same key."""
    given = request.headers.get("idempotency-key")
    if given is None or request.method != "POST":
        return
    if not _KEY.fullmatch(given):
        message = "Idempotency-Key must be 1 to 255 visible ASCII characters"
        raise Invalid(Fault("Idempotency-Key", "invalid_parameter", message))
    running: Running = request.app.state.idempotency
    place = "\n".join((project_id, request.method, request.url.path, given))
    key = hashlib.sha256(place.encode()).hexdigest()
    body = hashlib.sha256(await raw_body(request)).hexdigest()
    if key in running.keys:
        message = "The first request with this Idempotency-Key is not answered yet"
        raise ApiError(409, "request_in_progress", message, {"Retry-After": "1"})
    running.keys.add(key)
    try:
        first = await running.answers.find(key)
    except BaseException:
        running.keys.discard(key)
        raise
    if first is None:
        request.scope["state"][_KEPT] = (key, body)
        return
    running.keys.discard(key)
    if first.request != body:
        message = "This Idempotency-Key was used with another body; a new request needs a new key"
        raise Invalid(Fault("Idempotency-Key", "idempotency_key_reused", message))
    headers = {"Idempotency-Replayed": "true"}
    raise Replayed(Response(first.body, first.status, headers, media_type=first.kind or None))


class Recording:
    """ASGI middleware: keeps the answers that `look_up` has marked."""

    def __init__(self, app: ASGIApp, running: Running) -> None:
        self._app, self._running = app, running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        held: list[Message] = []

        async def hold(message: Message) -> None:
            if _KEPT not in state:
                await send(message)
                return
            held.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                key, request = state[_KEPT]
                await self._keep(key, request, held)
                for one in held:
                    await send(one)

        try:
            await self._app(scope, receive, hold)
        finally:
            if _KEPT in state:
                self._running.keys.discard(state[_KEPT][0])

    async def _keep(self, key: str, request: str, held: list[Message]) -> None:
        status = held[0]["status"]
        body = b"".join(one.get("body", b"") for one in held[1:])
        # 429 and 5xx mean that nothing was done; 401 and 403 are judged anew.
        if (200 <= status < 300 or status in (404, 422)) and len(body) <= LARGEST:
            kinds = [value for name, value in held[0]["headers"] if name == b"content-type"]
            kind = kinds[0].decode("latin-1") if kinds else ""
            await self._running.answers.keep(key, request, status, _without_secrets(body), kind[:64])


def _without_secrets(body: bytes) -> bytes:
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return json.dumps(_blank(value), ensure_ascii=False, separators=(",", ":")).encode()


def _blank(value: Any) -> Any:
    if isinstance(value, list):
        return [_blank(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: None if name in SECRETS else _blank(one) for name, one in value.items()}
