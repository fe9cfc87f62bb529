"""Reading request bodies (API.md 1.3)."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Request, Response

from offhook.api.errors import ApiError, Fault

_RAW = "offhook_body"
NESTING = 32
"""Deepest JSON taken: nothing here needs more than six."""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""U+0000 as json.dumps writes it."""


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


async def raw_body(request: Request) -> bytes:
    """The octets of the body, which may be asked for more than once. Raises 413."""
    state = request.scope.setdefault("state", {})
    if _RAW not in state:
        state[_RAW] = await _read(request, request.app.state.body_bytes)
    raw: bytes = state[_RAW]
    return raw


async def body_object(request: Request) -> dict[str, Any]:
    """The JSON object of the body; an empty body is `{}`, also with a JSON content type."""
    raw = await raw_body(request)
    if not raw.strip():
        return {}
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "unsupported_media_type", "Send application/json")
    try:
        body = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ApiError(400, "not_a_valid_json", "The body is not valid JSON") from None
    if not isinstance(body, dict) or _depth(body) > NESTING:
        raise ApiError(400, "not_a_valid_json", f"The body must be a JSON object, at most {NESTING} levels deep")
    if b"\\u" in raw:
        _only_characters(body)
    return body


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _only_characters(value: Any) -> None:
    """Raises 400 for escapes that are no characters, which no answer and no database could carry: half a surrogate pair,
    and U+0000."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ApiError(400, "not_a_valid_json", "The body has half of a surrogate pair") from None
    if _NUL.search(text):
        raise ApiError(400, "not_a_valid_json", "The body has the character U+0000")


def unknown_fields(body: Mapping[str, Any], known: Iterable[str]) -> list[Fault]:
    """Faults for fields that a body of the own family may not have (API.md 1.3)."""
    names = tuple(known)
    message = f"is not known; known: {', '.join(names)}"
    return [Fault(name[:64], "unknown_parameter", f"{name[:64]} {message}") for name in body if name not in names]


def note_ignored(response: Response, body: Mapping[str, Any], known: frozenset[str]) -> None:
    """Names unknown fields in `X-Offhook-Ignored`; the compatible families ignore them (API.md 1.3)."""
    note_names(response, [name for name in body if name not in known])


def note_names(response: Response, ignored: list[str]) -> None:
    """The same for names that were found otherwise."""
    if ignored:
        clean = ", ".join("".join(one for one in name if one.isascii() and one.isprintable())[:64] for name in ignored)
        response.headers["X-Offhook-Ignored"] = clean[:1000]
