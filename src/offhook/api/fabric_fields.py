"""Fields that many resources of the fabric family have: an id of the client's own, and a name (API.md 1.1)."""

import re
from collections.abc import Mapping
from typing import Any

from offhook.api.errors import Fault
from offhook.api.ports import Platform

LONGEST = 128
"""Characters of a name."""
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def own_id(platform: Platform, body: Mapping[str, Any]) -> tuple[str | None, list[Fault]]:
    """The id that a create brings, None for one of ours."""
    given = body.get("id")
    if given in (None, ""):
        return None, []
    if not isinstance(given, str) or not UUID.fullmatch(given.lower()):
        return None, [Fault("id", "invalid_parameter", "Id must be a UUID")]
    id_ = given.lower()
    if platform.endpoints.get(id_) is not None or platform.resources.get(id_) is not None:
        return None, [Fault("id", "value_not_unique", "Id has already been taken")]
    return id_, []


def name_fault(body: Mapping[str, Any], field: str = "name", longest: int = LONGEST) -> list[Fault]:
    """What is wrong with a name, if it is given."""
    given = body.get(field)
    if given is None or (isinstance(given, str) and len(given) <= longest and given.isprintable()):
        return []
    message = f"{field.capitalize()} must be text of at most {longest} printable characters"
    return [Fault(field, "invalid_parameter", message)]
