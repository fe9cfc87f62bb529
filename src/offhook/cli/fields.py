"""Fields of the API on a command line: `name=value` or `group.name=value`."""

import json
from typing import Any

from offhook.cli.server import fail

TEXTS = {"username", "auth_username", "password", "digest_username", "digest_password", "number", "name", "description"}
TEXTS |= {"country_code", "national_prefix", "international_prefix", "from_user", "contact_user", "prefix", "prepend"}
TEXTS |= {"extension", "caller_id", "send_as"}
"""Fields that are text even where they look like numbers."""


def assigned(assignments: list[str] | None) -> dict[str, Any]:
    """`numbers.country_code=49` becomes {"numbers": {"country_code": "49"}}; values that parse as JSON are taken so."""
    body: dict[str, Any] = {}
    for one in assignments or []:
        name, equals, text = one.partition("=")
        if not equals:
            fail(f"{one} sets nothing: write name=value.")
        place = body
        *groups, last = name.split(".")
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = _value(last, text)
    return body


def laid_over(body: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The fields of both; in groups too, the given ones win."""
    for name, value in given.items():
        inner = body.get(name)
        both = isinstance(inner, dict) and isinstance(value, dict)
        body[name] = laid_over(dict(inner), value) if both and inner is not None else value
    return body


def _value(name: str, text: str) -> Any:
    if text == "null" or name not in TEXTS:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
