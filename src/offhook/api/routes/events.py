"""Events: `/api/offhook/events`, read on after a cursor or streamed (API.md 12.5)."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from offhook.api.auth import Reading
from offhook.api.describe import described, flag, identifier, list_of, loose, moment, nullable, record, text, whole
from offhook.api.errors import ApiError, Fault, Invalid
from offhook.api.event_ports import EventDesk
from offhook.api.ports import Platform
from offhook.calls.event_types import FAMILIES, TYPES, known, matches

PATH = "/api/offhook/events"
MOST, DEFAULT, LONGEST_WAIT = 1000, 100, 30
COMMENT = 15.0
"""Seconds after which a stream without events says something, so that proxies and clients keep it."""
AT_ONCE = 200
"""Events of a stream that are read in one look."""

EVENT = record(
    "Event", "id", "cursor", "at", "type", "project_id", "call_ref", "leg_ref", "sequence", "request_id", "data",
    id=identifier(), cursor=text(), at=moment(), type=text(), project_id=identifier(), call_ref=nullable(identifier()),
    leg_ref=nullable(identifier()), sequence=nullable(whole(1)), request_id=nullable(text()), data=loose(),
)  # fmt: skip
READ = record("Events", "data", "next_cursor", "has_more", data=list_of(EVENT), next_cursor=text(), has_more=flag())
FILTERS = {"types": text(), "call_ref": text(), "endpoint_id": text()}
QUERY = {"after": text(), "limit": whole(1, MOST), **FILTERS, "wait": whole(0, LONGEST_WAIT)}
router = APIRouter(tags=["Events"])


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for. `types` are spelled out, none means all."""

    project_id: str
    types: tuple[str, ...]
    call_ref: str
    endpoint_id: str

    async def read(self, desk: EventDesk, after: int, most: int) -> tuple[list[dict[str, Any]], int, bool]:
        """The next events behind a cursor."""
        return await desk.read(self.project_id, self.types, self.call_ref, self.endpoint_id, after, most)


@router.get(PATH, **described(gives=READ, query=QUERY, errors=(410, 422, 503)))
async def list_events(request: Request, token: Reading) -> Response:
    """Events behind a cursor in order, the oldest first. `after` is a `next_cursor`, `latest` for what is yet to come, or
    absent for the oldest kept; `types` are separated by commas, `call.*` means a family; `wait` waits that many seconds for
    the first event. A page may be empty though `has_more` is true, when what is asked for is rare: go on from
    `next_cursor`."""
    platform: Platform = request.app.state.platform
    desk, query = _open(platform.events), dict(request.query_params)
    faults: list[Fault] = []
    asked = _asked(token.project_id, query, faults)
    most = _whole(query, "limit", DEFAULT, 1, MOST, faults)
    wait = _whole(query, "wait", 0, 0, LONGEST_WAIT, faults)
    after = await _after(query.get("after", ""), desk, faults)
    if faults:
        raise Invalid(*faults)
    if after < desk.oldest:
        return _expired(desk)
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        news = desk.news
        rows, after, more = await asked.read(desk, after, most)
        left = deadline - asyncio.get_running_loop().time()
        if rows or more or left <= 0 or desk.closed() or await request.is_disconnected():
            return JSONResponse({"data": rows, "next_cursor": str(after), "has_more": more})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(left, desk.look)):
                await news.wait()
        if desk.closed():
            # The database is about to be closed too.
            return JSONResponse({"data": [], "next_cursor": str(after), "has_more": False})


@router.get(PATH + "/stream", **described(query={"after": text(), **FILTERS}, errors=(410, 422, 503)))
async def stream_events(request: Request, token: Reading) -> Response:
    """Server-Sent Events: `id:` is the cursor, `data:` the event. Begins with what is yet to come, behind `after`, or where
    `Last-Event-ID` says; a comment comes every 15 s."""
    platform: Platform = request.app.state.platform
    desk, query = _open(platform.events), dict(request.query_params)
    faults: list[Fault] = []
    asked = _asked(token.project_id, query, faults)
    after = await _after(request.headers.get("last-event-id") or query.get("after") or "latest", desk, faults)
    if faults:
        raise Invalid(*faults)
    if after < desk.oldest:
        return _expired(desk)
    if not desk.stream():
        message = "As many streams as may be are open (events.streams)"
        raise ApiError(429, "rate_limit_exceeded", message, {"Retry-After": "5"})
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return _Stream(_told(platform, token.id, asked, after), desk, headers)


class _Stream(StreamingResponse):
    """Gives its place back however it ends, also when nobody ever read from it."""

    def __init__(self, told: AsyncIterator[str], desk: EventDesk, headers: Mapping[str, str]) -> None:
        super().__init__(told, headers=headers, media_type="text/event-stream")
        self._desk = desk

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._desk.stream_ended()


async def _told(platform: Platform, token_id: str, asked: Asked, after: int) -> AsyncIterator[str]:
    desk, clock = platform.events, asyncio.get_running_loop().time
    spoke = clock()
    yield ": here\n\n"
    while not desk.closed():
        news = desk.news
        # A client that goes away must not take the database's connection along.
        rows, after, more = await asyncio.shield(asked.read(desk, after, AT_ONCE))
        if rows:
            spoke = clock()
            yield "".join(f"id: {row['cursor']}\ndata: {json.dumps(row)}\n\n" for row in rows)
        if more:
            continue
        silence = spoke + COMMENT - clock()
        if silence <= 0:
            if platform.api_tokens.get(token_id) is None:
                # Whoever takes a token away means its open streams too.
                return
            spoke = clock()
            yield ":\n\n"
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(silence, desk.look)):
                await news.wait()


def _open(desk: EventDesk) -> EventDesk:
    """Raises 503 once the server stops: whoever asks again at once must not keep the database busy."""
    if desk.closed():
        raise ApiError(503, "node_draining", "The server is stopping", {"Retry-After": "5"})
    return desk


def _asked(project_id: str, query: Mapping[str, str], faults: list[Fault]) -> Asked:
    wanted = tuple(one.strip() for one in query.get("types", "").split(",") if one.strip())
    for one in wanted:
        if not known(one):
            faults.append(
                Fault(
                    "types",
                    "list_contains_invalid_entries",
                    f"Types contains an invalid entry: {one[:64]}; write a type, or one of {', '.join(FAMILIES)}",
                )
            )
    types = tuple(sorted(one for one in TYPES if matches(one, wanted))) if wanted else ()
    return Asked(project_id, types, query.get("call_ref", ""), query.get("endpoint_id", ""))


async def _after(given: str, desk: EventDesk, faults: list[Fault]) -> int:
    if not given:
        return desk.oldest
    if given == "latest":
        return await desk.last()
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        faults.append(Fault("after", "invalid_parameter", "After must be a cursor of this server, or latest"))
        return desk.oldest
    return int(given)


def _whole(query: Mapping[str, str], name: str, default: int, low: int, high: int, faults: list[Fault]) -> int:
    given = query.get(name, "")
    if not given:
        return default
    if not given.isascii() or not given.isdigit() or len(given) > 6 or not low <= int(given) <= high:
        faults.append(
            Fault(name, "invalid_parameter", f"{name.capitalize()} must be a whole number from {low} to {high}")
        )
        return default
    return int(given)


def _expired(desk: EventDesk) -> JSONResponse:
    """410: what followed is no longer kept; `oldest_cursor` is one to go on from, as `after`."""
    message = "Events behind this cursor are no longer kept (events.retention_days); go on from oldest_cursor"
    return JSONResponse({**ApiError(410, "cursor_expired", message).body(), "oldest_cursor": str(desk.oldest)}, 410)
