"""What a route takes and gives, stated once for OpenAPI (API.md 1, 12.6).

Validation is ours, because one 422 lists every fault in its own words; so handlers read the raw body, and state its schema
beside the path:

    WIDGET = record("NewWidget", "name", name=text(64, 1), origins=list_of(text(), 20))

    @router.post(PATH, status_code=201, **described(takes=WIDGET, gives=SHOWN))
    @router.get(PATH, **described(gives=listing(SHOWN), query={"name": text()}))

What follows from rules is added by offhook.api.openapi: credentials, 401, 403, 404, 429 and the 4xx of bodies and queries.
`errors` names further ones (409).
"""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
GIVES, ERRORS, NEVER = "x-gives", "x-errors", "x-never"
"""Members of an operation that offhook.api.openapi turns into responses."""


def text(most: int | None = None, least: int = 0, pattern: str | None = None, **more: Any) -> Schema:
    """A string of `least` to `most` characters; `pattern` is whole, with ^ and $."""
    limits = {"maxLength": most, "minLength": least or None, "pattern": pattern}
    return {"type": "string", **{name: value for name, value in limits.items() if value is not None}, **more}


def flag() -> Schema:
    """true or false."""
    return {"type": "boolean"}


def whole(low: int | None = None, high: int | None = None) -> Schema:
    """A whole number."""
    limits = {"minimum": low, "maximum": high}
    return {"type": "integer", **{name: value for name, value in limits.items() if value is not None}}


def number() -> Schema:
    """Any number."""
    return {"type": "number"}


def one_of(*values: str) -> Schema:
    """One of the words."""
    return {"type": "string", "enum": list(values)}


def list_of(each: Schema, most: int | None = None, least: int = 0) -> Schema:
    """A list."""
    limits = {"maxItems": most, "minItems": least or None}
    return {"type": "array", "items": each, **{name: value for name, value in limits.items() if value is not None}}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def anything() -> Schema:
    """Any JSON value."""
    return {}


def loose() -> Schema:
    """An object with whatever members."""
    return {"type": "object"}


def identifier() -> Schema:
    """An id (API.md 1.1)."""
    return {"type": "string", "format": "uuid"}


def moment() -> Schema:
    """A time, ISO 8601 UTC."""
    return {"type": "string", "format": "date-time"}


def record(name: str, /, *required: str, **fields: Schema) -> Schema:
    """An object; `name` is its name among the components of the document. Further members may stand in it."""
    schema: Schema = {"type": "object", "properties": fields}
    if name:
        schema["title"] = name
    if required:
        schema["required"] = list(required)
    return schema


def without_required(name: str, schema: Schema) -> Schema:
    """The body of a change: the same fields, none of them required."""
    return {**{key: value for key, value in schema.items() if key != "required"}, "title": name}


PAGE_QUERY: dict[str, Schema] = {"page_size": whole(1, 1000), "page_number": whole(0), "page_token": text()}
_LINKS = record("Links", "self", "first", self=text(), first=text(), next=text(), prev=text())


def listing(row: Schema) -> Schema:
    """A list of API.md 1.4. Its route takes `page_size`, `page_number` and `page_token`."""
    return {"type": "object", "required": ["links", "data"], "properties": {"links": _LINKS, "data": list_of(row)}}


def described(
    takes: Schema | None = None,
    gives: Schema | None = None,
    query: Mapping[str, Schema] | None = None,
    errors: tuple[int, ...] = (),
    form: bool = False,
    succeeds: bool = True,
) -> dict[str, Any]:
    """Keywords for a route's decorator. `takes` is the body (`form`: URL-encoded), `gives` the body of the success; a route
    that only refuses does not succeed."""
    extra: Schema = {} if succeeds else {NEVER: True}
    if takes is not None:
        extra["requestBody"] = {"content": {FORM if form else JSON: {"schema": takes}}}
    if gives is not None:
        extra[GIVES] = gives
    if errors:
        extra[ERRORS] = list(errors)
    paged = PAGE_QUERY if gives is not None and set(gives.get("required", ())) == {"links", "data"} else {}
    named = {**(query or {}), **paged}
    if named:
        extra["parameters"] = [{"name": name, "in": "query", "schema": one} for name, one in named.items()]
    return {"openapi_extra": extra}
