"""Reading request bodies (API.md 1.3)."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from offhook.api.errors import ApiError

NESTING = 32
"""Deepest JSON taken: nothing here needs more than six."""


def _depth(value: Any, level: int = 1) -> int:
    if level > NESTING or not isinstance(value, dict | list):
        return level
    inner = value.values() if isinstance(value, dict) else value
    return max((_depth(one, level + 1) for one in inner), default=level)


async def _read(request: Request, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise ApiError(413, "body_too_large", f"A body may have {limit} bytes (limits.body_bytes)")
        parts.append(part)
    return b"".join(parts)


async def body_object(request: Request) -> dict[str, Any]:
    """The JSON object of the body; an empty body is `{}`, also with a JSON content type."""
    raw = await _read(request, request.app.state.body_bytes)
    if not raw.strip():
        return {}
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "unsupported_media_type", "Send application/json")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise ApiError(400, "not_a_valid_json", "The body is not valid JSON") from None
    if not isinstance(body, dict) or _depth(body) > NESTING:
        raise ApiError(400, "not_a_valid_json", f"The body must be a JSON object, at most {NESTING} levels deep")
    return body


def note_ignored(response: Response, body: Mapping[str, Any], known: frozenset[str]) -> None:
    """Names unknown fields in `X-Offhook-Ignored`; the compatible families ignore them (API.md 1.3)."""
    ignored = [name for name in body if name not in known]
    if ignored:
        clean = ", ".join("".join(one for one in name if one.isascii() and one.isprintable())[:64] for name in ignored)
        response.headers["X-Offhook-Ignored"] = clean[:1000]
