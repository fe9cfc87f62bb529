"""What the hosted platforms have and this server has not yet (API.md section 13): never a false success, never a 5xx.

One table. A list is empty, one object is not there, and whatever would make or change one is refused in words that name the
nearest thing that works. As soon as another router serves a path, the row for it is passed over.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute

from offhook.api.auth import scope
from offhook.api.describe import described, listing, loose, record, text, whole
from offhook.api.errors import COMPAT_NOT_AVAILABLE, NOT_AVAILABLE, ApiError, Fault, Invalid
from offhook.api.paging import page
from offhook.api.ports import TokenRow

WRITES = {"POST": 200, "PUT": 200, "PATCH": 200, "DELETE": 204}
CHANGES = ("PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Later:
    """A list with its objects. `scope` is what the list will need, `instead` the nearest thing that works."""

    path: str
    scope: str
    instead: str


FABRIC = "/api/fabric/resources"
_HOOK = "serve the document yourself and use a swml_webhook or cxml_webhook"
_NO_AGENT = "agents do not run here; use a swml_webhook"
LISTS = (
    Later(f"{FABRIC}/swml_scripts", "calling", _HOOK),
    Later(f"{FABRIC}/cxml_scripts", "calling", _HOOK),
    Later(f"{FABRIC}/cxml_applications", "calling", _HOOK),
    Later(f"{FABRIC}/call_flows", "calling", _HOOK),
    Later(f"{FABRIC}/relay_applications", "calling", _HOOK),
    Later(f"{FABRIC}/freeswitch_connectors", "calling", "use a SIP gateway or a trunk"),
    Later(f"{FABRIC}/ai_agents", "calling", _NO_AGENT),
    Later(f"{FABRIC}/dialogflow_agents", "calling", _NO_AGENT),
    Later(f"{FABRIC}/conference_rooms", "video", "dial conference-NAME"),
    Later("/api/offhook/conferences", "video", "dial conference-NAME"),
    Later("/api/offhook/voicemail", "calling", "forward to another endpoint on no answer"),
    Later("/api/relay/rest/queues", "calling", "let a number ring several devices"),
    Later("/api/relay/rest/recordings", "storage", "record a live call by calling.record"),
    Later("/api/relay/rest/number_groups", "numbers", "list numbers by filter_name"),
    Later("/api/relay/rest/addresses", "numbers", "emergency routing is a trunk's emergency flag"),
    Later("/api/relay/rest/short_codes", "numbers", "numbers of a trunk can be imported"),
    Later("/api/logs/conferences", "calling", "see /api/voice/logs"),
)
SINGLE = (
    Later("/api/relay/rest/number_group_memberships/{id}", "numbers", "list numbers by filter_name"),
    Later(f"{FABRIC}/call_flow/{{id}}/versions", "calling", _HOOK),
    Later(f"{FABRIC}/call_flow/{{id}}/addresses", "calling", _HOOK),
    Later(f"{FABRIC}/conference_room/{{id}}/addresses", "video", "dial conference-NAME"),
    Later("/api/relay/rest/number_groups/{id}/number_group_memberships", "numbers", "list numbers by filter_name"),
    Later("/api/offhook/conferences/{id}/participants", "video", "dial conference-NAME"),
    Later("/api/offhook/voicemail/{id}/messages", "calling", "forward to another endpoint on no answer"),
    Later("/api/relay/rest/queues/{id}/members", "calling", "let a number ring several devices"),
)
"""Paths below an object that cannot exist yet."""
ABSENT = (
    "/api/video",
    "/api/datasphere",
    "/api/messaging",
    "/api/fax",
    "/api/chat",
    "/api/pubsub",
    "/api/relay/rest/registry",
    "/api/relay/rest/mfa",
)
"""Families that will never be served: 404 for everything below."""
COMPAT = ("/2010-04-01/Accounts/{account}", "/api/laml/2010-04-01/Accounts/{account}")
COMPAT_LISTS = {
    "Calls": "calls",
    "Conferences": "conferences",
    "Queues": "queues",
    "Applications": "applications",
    "IncomingPhoneNumbers": "incoming_phone_numbers",
    "OutgoingCallerIds": "outgoing_caller_ids",
    "Recordings": "recordings",
    "SIP/Domains": "domains",
    "SIP/CredentialLists": "credential_lists",
    "SIP/IpAccessControlLists": "ip_access_control_lists",
}
"""Lists of the compat family, and the key of their rows."""
_AVAILABLE = re.compile(r"AvailablePhoneNumbers/[A-Z]{2}/Local")
_COMPAT_PAGE = record(
    "CompatPage", "first_page_uri", "page", "page_size", "uri",
    first_page_uri=text(), page=whole(), page_size=whole(), uri=text(),
)  # fmt: skip

Handler = Callable[..., Awaitable[dict[str, Any]]]


def routes(served: Iterable[APIRouter]) -> APIRouter:
    """A router for what no other one serves."""
    router = APIRouter(tags=["Not yet"])
    taken = {
        (_shape(route.path), verb)
        for one in served
        for route in one.routes
        if isinstance(route, APIRoute)
        for verb in route.methods or ()
    }

    def add(path: str, verb: str, handler: Handler, **more: Any) -> None:
        if (_shape(path), verb) not in taken:
            router.add_api_route(path, handler, methods=[verb], **more)

    for row in LISTS:
        name = _named(row)
        add(row.path, "GET", _empty(row), name=f"list_{name}", **described(gives=listing(loose())))
        add(row.path, "POST", _refusing(row), name=f"create_{name}", **described(errors=(422,), succeeds=False))
        add(row.path + "/{id}", "GET", _missing(row), name=f"show_{name}", **described(succeeds=False))
        for verb in CHANGES:
            add(
                row.path + "/{id}",
                verb,
                _refusing(row),
                name=f"{verb.lower()}_{name}",
                **described(errors=(422,), succeeds=False),
            )
    for row in SINGLE:
        add(row.path, "GET", _missing(row), name=f"list_{_named(row)}", **described(succeeds=False))
        for verb in ("POST", *CHANGES):
            add(
                row.path,
                verb,
                _refusing(row),
                name=f"{verb.lower()}_{_named(row)}",
                **described(errors=(422,), succeeds=False),
            )
    for prefix in COMPAT:
        for verb in ("GET", "POST", "DELETE"):
            add(prefix + "/{rest:path}", verb, compat, name=f"compat_{verb.lower()}", **described(gives=_COMPAT_PAGE))
    return router


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def _named(row: Later) -> str:
    return "_".join(re.findall(r"[a-z]+", row.path.partition("/api/")[2].replace("{id}", "")))


def _empty(row: Later) -> Handler:
    async def handler(request: Request, token: Annotated[TokenRow, Depends(scope(row.scope))]) -> dict[str, Any]:
        return page((), str, lambda one: {}, row.path, dict(request.query_params))

    handler.__doc__ = f"Always empty until this is served; {row.instead}."
    return handler


def _missing(row: Later) -> Handler:
    async def handler(request: Request, token: Annotated[TokenRow, Depends(scope(row.scope))]) -> dict[str, Any]:
        raise ApiError(404, "not_found", f"Nothing is here yet; {row.instead}")

    handler.__doc__ = f"Nothing is here until this is served; {row.instead}."
    return handler


def _refusing(row: Later) -> Handler:
    async def handler(request: Request, token: Annotated[TokenRow, Depends(scope(row.scope))]) -> dict[str, Any]:
        raise Invalid(Fault(_named(row), NOT_AVAILABLE, f"{row.path} is not served yet; {row.instead}"))

    handler.__doc__ = f"Refused until this is served; {row.instead}."
    return handler


async def compat(
    account: str, rest: str, request: Request, token: Annotated[TokenRow, Depends(scope("calling"))]
) -> dict[str, Any]:
    """The compat family: its lists are empty, and what would make or change something is refused, until it is served."""
    if account.lower() not in (token.project_id, "ac" + token.project_id.replace("-", "")):
        raise ApiError(404, "not_found", "The requested account was not found")
    place = rest.removesuffix(".json")
    key = COMPAT_LISTS.get(place, "available_phone_numbers" if _AVAILABLE.fullmatch(place) else None)
    if request.method != "GET" and place.partition("/")[0] in {
        one.partition("/")[0] for one in (*COMPAT_LISTS, "Tokens")
    }:
        message = "This is not served yet; use the fabric and space families"
        raise ApiError(403, NOT_AVAILABLE, message, number=COMPAT_NOT_AVAILABLE)
    if key is None or request.method != "GET":
        raise ApiError(404, "not_found", f"The requested resource {request.url.path[:200]} was not found")
    uri = request.url.path
    return {
        "first_page_uri": uri,
        "next_page_uri": None,
        "previous_page_uri": None,
        "page": 0,
        "page_size": 50,
        "uri": uri,
        key: [],
    }


def is_absent(path: str) -> bool:
    """True below a family that is not served: a 404 that says so."""
    return any(path == one or path.startswith(one + "/") for one in ABSENT)
