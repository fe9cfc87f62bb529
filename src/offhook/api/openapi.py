"""The OpenAPI document: what the routes state, and what follows from the rules of API.md section 1 for each of them."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from offhook.api.describe import ERRORS, GIVES, NEVER, Schema, list_of, record, text, whole
from offhook.api.errors import is_compat, is_own, is_space

PLAIN = record("Error", "error", "code", "message", error=text(), code=text(), message=text())
_FAULT = record("Fault", "type", "code", "message", "attribute", "url",
    type=text(), code=text(), message=text(), attribute=text(), url=text())  # fmt: skip
_OWN_FAULT = record("OwnFault", "type", "code", "message", "attribute", "url", "remedy",
    type=text(), code=text(), message=text(), attribute=text(), url=text(), remedy=text())  # fmt: skip
_SPACE_FAULT = record("SpaceFault", "detail", "status", "title", "code", "attribute",
    detail=text(), status=text(), title=text(), code=text(), attribute=text())  # fmt: skip
COMPAT = record("CompatError", "code", "message", "more_info", "status",
    code=whole(), message=text(), more_info=text(), status=whole())  # fmt: skip
FAULTS = record("Faults", "errors", errors=list_of(_FAULT))
OWN_FAULTS = record("OwnFaults", "errors", errors=list_of(_OWN_FAULT))
SPACE_FAULTS = record("SpaceFaults", "errors", errors=list_of(_SPACE_FAULT))

BODY_ERRORS = (400, 413, 415, 422)
"""Not JSON, too large, of another type, with wrong fields."""


def document(app: FastAPI) -> Schema:
    """OpenAPI 3.1 of the application."""
    found = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", routes=app.routes, description=app.description
    )
    components = found.setdefault("components", {})
    schemas: Schema = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    names: set[str] = set()
    for path, operations in found["paths"].items():
        for verb, operation in operations.items():
            operation["operationId"] = _id(operation["operationId"], verb, names)
            _complete(path, verb, operation)
    found["paths"] = _hoisted(found["paths"], schemas)
    components["schemas"] = dict(sorted(schemas.items()))
    return found


def _id(name: str, verb: str, names: set[str]) -> str:
    """A name for generated clients: the handler's, with the verb where PUT and PATCH are the same."""
    unique = name if name not in names else f"{name}_{verb}"
    names.add(unique)
    return unique


def _complete(path: str, verb: str, operation: Schema) -> None:
    responses: dict[str, Any] = operation["responses"]
    responses.pop("422", None)
    gives = operation.pop(GIVES, None)
    if gives is not None:
        success = next(one for one in responses if one.startswith("2"))
        responses[success]["content"] = {"application/json": {"schema": gives}}
    if operation.pop(NEVER, False):
        for status in [one for one in responses if one.startswith("2")]:
            del responses[status]
    for status in (*_by_rule(path, verb, operation), *operation.pop(ERRORS, ())):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": _shape(path, status)}},
        }
    _declare(path, operation)


def _declare(path: str, operation: Schema) -> None:
    """Every name in braces is a parameter of the path, whether the handler reads it or not."""
    given = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
    for name in re.findall(r"\{([^}]+)\}", path):
        if name not in given:
            one = {"name": name, "in": "path", "required": True, "schema": text()}
            operation.setdefault("parameters", []).append(one)


def _by_rule(path: str, verb: str, operation: Schema) -> Iterator[int]:
    """Statuses that the rules of section 1 can lead to, whatever the route does."""
    if operation.get("security"):
        yield from (401, 403)
    yield 429
    if path.startswith("/api/"):
        yield 503  # the database
    if "{" in path:
        yield 404
    if "requestBody" in operation:
        yield from BODY_ERRORS
    if verb != "get":
        # Something else was changed at the same moment; a POST's Idempotency-Key is still running (API.md 1.7).
        yield 409
    if verb == "post":
        # Idempotency-Key used with another body.
        yield 422
    if operation.get("parameters"):
        yield 422


def _shape(path: str, status: int) -> Schema:
    if is_compat(path):
        return COMPAT
    if status != 422:
        return PLAIN
    return SPACE_FAULTS if is_space(path) else OWN_FAULTS if is_own(path) else FAULTS


def _hoisted(value: Any, schemas: Schema) -> Any:
    """The same with every named schema moved to the components."""
    if isinstance(value, list):
        return [_hoisted(one, schemas) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _hoisted(one, schemas) for name, one in value.items()}
    title = inner.get("title")
    if inner.get("type") != "object" or not isinstance(title, str) or " " in title:
        return inner
    if schemas.setdefault(title, inner) != inner:
        raise ValueError(f"two schemas are called {title}")
    return {"$ref": f"#/components/schemas/{title}"}
