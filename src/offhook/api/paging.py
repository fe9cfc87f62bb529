"""Lists: `{"links": …, "data": […]}`, newest first, with keyset cursors (API.md 1.4)."""

import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from offhook.api.errors import Fault, Invalid

Row = TypeVar("Row")
LARGEST, DEFAULT = 1000, 50
PAGING = ("page_size", "page_number", "page_token")


def _cursor(prefix: str, key: str) -> str:
    return prefix + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _key(token: str) -> tuple[str, str]:
    prefix, text = token[:2], token[2:]
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except ValueError:
        # Also binascii.Error and UnicodeDecodeError, which are of this kind.
        prefix, key = "", ""
    if prefix not in ("PA", "PB") or not key:
        raise Invalid(Fault("page_token", "page_token_is_invalid", "Page token is invalid"))
    return prefix, key


def _number(query: Mapping[str, str], name: str, default: int, lowest: int, highest: int, rule: str) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not lowest <= int(text) <= highest:
        raise Invalid(Fault(name, "invalid_parameter", rule))
    return int(text)


def page(
    rows: Iterable[Row],
    key: Callable[[Row], str],
    show: Callable[[Row], dict[str, Any]],
    path: str,
    query: Mapping[str, str],
) -> dict[str, Any]:
    """One page of rows that are sorted by `key`, newest (greatest) first. Raises Invalid."""
    size, number, token = _asked(query)
    ordered = sorted(rows, key=key, reverse=True)
    shown, before, after = _cut(ordered, key, token, size)
    return _page(shown, before, after, key, show, path, query, size, number)


Fetch = Callable[[int, str, str], Awaitable[list[Row]]]
"""`fetch(most, before, after)`: the newest rows, newest first; those with keys below `before`, or the next above `after`."""


async def stored_page(
    fetch: Fetch[Row],
    key: Callable[[Row], str],
    show: Callable[[Row], dict[str, Any]],
    path: str,
    query: Mapping[str, str],
) -> dict[str, Any]:
    """One page of rows that a database keeps in the order of `key`. Raises Invalid."""
    size, number, token = _asked(query)
    direction, at = _key(token) if token else ("", "")
    rows = await fetch(size + 1, at if direction == "PA" else "", at if direction == "PB" else "")
    more = len(rows) > size
    if direction == "PB":
        return _page(rows[-size:], more, bool(rows), key, show, path, query, size, number)
    return _page(rows[:size], bool(direction and rows), more, key, show, path, query, size, number)


def _asked(query: Mapping[str, str]) -> tuple[int, int, str]:
    """(page_size, page_number, page_token)."""
    size = _number(query, "page_size", DEFAULT, 1, LARGEST, f"Page size must be between 1 and {LARGEST}")
    number = _number(query, "page_number", 0, 0, 10**9, "Page number must be 0 or more")
    token = query.get("page_token", "")
    if number > 0 and not token:
        message = "Page token is required if page number is greater than 0"
        raise Invalid(Fault("page_token", "page_token_required", message))
    return size, number, token


def _page(
    shown: list[Row],
    before: bool,
    after: bool,
    key: Callable[[Row], str],
    show: Callable[[Row], dict[str, Any]],
    path: str,
    query: Mapping[str, str],
    size: int,
    number: int,
) -> dict[str, Any]:
    keep = {name: value for name, value in query.items() if value and name not in PAGING}

    def link(**extra: str | int) -> str:
        return f"{path}?{urlencode({**keep, 'page_size': size, **extra})}"

    asked = {name: value for name, value in query.items() if value}
    links = {"self": f"{path}?{urlencode(asked)}" if asked else path, "first": link()}
    if after:
        links["next"] = link(page_number=number + 1, page_token=_cursor("PA", key(shown[-1])))
    if before:
        links["prev"] = link(page_number=max(number - 1, 0), page_token=_cursor("PB", key(shown[0])))
    return {"links": links, "data": [show(row) for row in shown]}


def _cut(ordered: list[Row], key: Callable[[Row], str], token: str, size: int) -> tuple[list[Row], bool, bool]:
    """(rows of the page, rows before it exist, rows after it exist)."""
    if not token:
        return ordered[:size], False, len(ordered) > size
    direction, at = _key(token)
    if direction == "PA":
        rest = [row for row in ordered if key(row) < at]
        shown = rest[:size]
        return shown, bool(shown) and len(rest) < len(ordered), len(rest) > size
    newer = [row for row in ordered if key(row) > at]
    shown = newer[-size:]
    return shown, len(newer) > size, bool(shown) and len(newer) < len(ordered)
