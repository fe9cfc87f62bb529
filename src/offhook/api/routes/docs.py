"""What is served here, for people: `/docs` from the OpenAPI document, `/docs/errors` from the catalogue (API.md 12.6, 14).

Plain pages without scripts, so that they work without a network and under any policy.
"""

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from offhook.api.openapi import document
from offhook.calls.catalogue import CATALOGUE, Row
from offhook.calls.refusals import COMPAT

router = APIRouter(include_in_schema=False)
POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color-scheme: light dark }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .3rem .6rem }
tr { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) } :target { outline: 2px solid }
code { font-size: .95em } .verb { display: inline-block; min-width: 4.5rem; font-weight: 600 } details { margin: .3rem 0 }
"""


def _page(title: str, parts: Iterator[str]) -> HTMLResponse:
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    return HTMLResponse(head + f"<h1>{escape(title)}</h1>" + "".join(parts), headers=POLICY)


@router.get("/openapi.json")
async def openapi(request: Request) -> dict[str, Any]:
    """OpenAPI 3.1 of everything that is served."""
    app = request.app
    if app.openapi_schema is None:
        app.openapi_schema = document(app)
    schema: dict[str, Any] = app.openapi_schema
    return schema


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Every path by family."""
    return _page("Offhook: the API", _paths(await openapi(request)))


@router.get("/docs/errors")
async def errors() -> HTMLResponse:
    """Every code with its cause and remedy; its name is its anchor."""
    return _page("Offhook: error codes", _codes())


def _paths(schema: dict[str, Any]) -> Iterator[str]:
    yield "<p><a href=/openapi.json>OpenAPI 3.1</a> · <a href=/docs/errors>Error codes</a></p>"
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in schema["paths"].items():
        for verb, operation in operations.items():
            by_tag.setdefault((operation.get("tags") or ["Other"])[0], []).append((verb, path, operation))
    for tag, listed in by_tag.items():
        yield f"<h2>{escape(tag)}</h2>"
        for verb, path, operation in listed:
            yield f"<details><summary><span class=verb>{verb.upper()}</span> <code>{escape(path)}</code></summary>"
            yield f"<p>{escape(operation.get('description') or '')}</p>"
            yield from _fields("Query", _query(operation))
            yield from _fields("Body", _body(schema, operation))
            yield f"<p>Answers {escape(', '.join(sorted(operation['responses'])))}</p></details>"


def _query(operation: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one["schema"] for one in operation.get("parameters", ()) if one["in"] == "query"}


def _body(schema: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        body = content["schema"]
        name = body.get("$ref", "").rpartition("/")[2]
        found: dict[str, Any] = schema["components"]["schemas"].get(name, body).get("properties", {})
        return found
    return {}


def _fields(what: str, fields: dict[str, Any]) -> Iterator[str]:
    if fields:
        names = ", ".join(f"<code>{escape(name)}</code>" for name in fields)
        yield f"<p>{what}: {names}</p>"


def _codes() -> Iterator[str]:
    yield "<table><tr><th>code<th>SIP<th>REST<th>cause<th>remedy"
    for row in CATALOGUE.values():
        yield from _row(row)
    yield "</table><h2>Compat family</h2><table><tr><th>code<th>REST<th>cause"
    for number, status, cause in COMPAT:
        yield f'<tr id="{number}"><td><code>{number}</code><td>{status}<td>{escape(cause)}'
    yield "</table>"


def _row(row: Row) -> Iterator[str]:
    yield f'<tr id="{row.code}"><td><code>{row.code}</code><td>{row.sip or ""}<td>{row.http or ""}'
    yield f"<td>{escape(row.cause)}<td>{escape(row.remedy)}"
