"""What stands in a query, against what its route says of it (API.md 1.3, 1.4): words of filters that have a list, and
names that mean nothing.

A filter that is not known must not be one that was not asked for: whoever misspells it would take the whole list for its
answer.
"""

from fastapi import Request, Response
from fastapi.routing import APIRoute

from offhook.api.describe import Schema
from offhook.api.errors import Fault, Invalid, is_own
from offhook.api.requests import note_names

SWITCH = ("true", "false")
"""The words of a flag."""


def check_query(request: Request, response: Response) -> None:
    """Raises Invalid for a word that is none of its filter's, in our own family also for an unknown name; elsewhere that is
    named in `X-Offhook-Ignored`. An empty value is no filter."""
    query = request.query_params
    route = request.scope.get("route")
    if not query or not isinstance(route, APIRoute):
        return
    words = _words(route)
    faults = [
        Fault(name, "invalid_parameter_value", f"{name} must be one of: {', '.join(allowed)}")
        for name, allowed in words.items()
        if allowed and query.get(name) and query[name] not in allowed
    ]
    strange = [name for name in query if name not in words]
    if is_own(request.url.path):
        known = ", ".join(words) or "none"
        faults += [Fault(one[:64], "unknown_parameter", f"{one[:64]} is not known; known: {known}") for one in strange]
    elif request.method == "GET":
        note_names(response, strange)
    if faults:
        raise Invalid(*faults)


def _words(route: APIRoute) -> dict[str, tuple[str, ...]]:
    """The names in a route's query, each with its words, none where any text may stand."""
    stated: list[Schema] = (route.openapi_extra or {}).get("parameters", [])
    found = {one["name"]: _of_schema(one["schema"]) for one in stated if one["in"] == "query"}
    return {one.alias: () for one in route.dependant.query_params} | found


def _of_schema(schema: Schema) -> tuple[str, ...]:
    return SWITCH if schema.get("type") == "boolean" else tuple(schema.get("enum", ()))
