"""Creating and changing SIP endpoints, the same for all views (API.md 2, 4.2): one validator, one procedure.

The views differ in what `call_handler` means, in whether a password may be made here, and in the fields they know.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from offhook.api import fabric, handlers
from offhook.api.alone import alone
from offhook.api.endpoint_options import merged
from offhook.api.endpoint_views import POLICIES
from offhook.api.errors import Fault, Invalid, in_order, not_found
from offhook.api.fabric_fields import own_id
from offhook.api.handler_fields import FIELDS, OF_ENDPOINTS, Handler, handler_fields
from offhook.api.ports import EndpointRow, Platform
from offhook.api.requests import body_object, note_ignored
from offhook.api.schemas import COMMON, endpoint_fields, ignored_options, password_fault

MADE = 24
"""Characters of a password that is made here: 18 random octets."""


@dataclass(frozen=True, slots=True)
class View:
    """How a family writes endpoints. `handler` is what its `call_handler` means: "program" runs the calls that the endpoint
    makes, "policy" says what it may call, "" it has none. `brings_id`: a create may bring its own."""

    known: frozenset[str]
    handler: str = ""
    makes_password: bool = False
    brings_id: bool = False


LEGACY = View(COMMON | {"call_handler", *FIELDS}, "program")
FABRIC = View(COMMON | {"call_handler", "calling_handler_resource_id", "id"}, "policy", True, True)
OF_SUBSCRIBER = View(COMMON | {"id"}, brings_id=True)


def own(platform: Platform, project: str, id_: str) -> EndpointRow:
    """An endpoint of the project. Raises 404."""
    row = platform.endpoints.get(id_)
    if row is None or row.project_id != project:
        raise not_found("endpoint_not_found", "No SIP endpoint has this id")
    return row


async def create(
    request: Request, response: Response, project: str, view: View, subscriber_id: str | None = None
) -> tuple[EndpointRow, str | None]:
    """The new endpoint, which can register the instant this returns, and the password if it was made here."""
    platform: Platform = request.app.state.platform
    body = await _body(request, response, view)
    required = ("username",) if view.makes_password else ("username", "password")
    values, faults = endpoint_fields(body, required)
    name, password = str(values.get("username")), body.get("password")
    made = secrets.token_urlsafe(MADE * 3 // 4) if password in (None, "") and view.makes_password else None
    if made is None:
        faults += _weak(request, password, name)
    id_, more = own_id(platform, body) if view.brings_id else (None, [])
    async with alone("endpoints"):
        handler = _judge(platform, project, view, body, values, faults + more, None)
        md5, sha256 = request.app.state.ha1(name, platform.realm_of(project), made or password)
        fields: dict[str, Any] = {"ha1_md5": md5, "ha1_sha256": sha256, **_split_enabled(values, {})}
        fields |= {"id": id_} if id_ else {}
        if handler is not None:
            fields["handler"] = await _settled(platform, project, handler)
        row = await platform.endpoints.create(project_id=project, subscriber_id=subscriber_id, **fields)
    if row is None:
        raise Invalid(_TAKEN)
    if made is not None:
        response.headers["Cache-Control"] = "no-store"
    return row, made


async def change(request: Request, response: Response, row: EndpointRow, view: View) -> EndpointRow:
    """Changes the fields given and keeps the rest; a new user name needs a password in the same request."""
    platform: Platform = request.app.state.platform
    body = await _body(request, response, view)
    given = {name: value for name, value in body.items() if name != "password"}
    values, faults = endpoint_fields(given, ("username",) if "username" in body else ())
    name, password = str(values.get("username") or row.username), body.get("password")
    faults += _weak(request, password, name)
    if name != row.username and password in (None, ""):
        text = "password is required when username changes, because only its digest is stored"
        faults.append(Fault("password", "password_required", text))
    async with alone("endpoints"):
        handler = _judge(platform, row.project_id, view, body, values, faults, row)
        values = _split_enabled(values, row.offhook)
        if handler is not None:
            values["handler"] = await _settled(platform, row.project_id, handler)
        if password not in (None, ""):
            realm = platform.realm_of(row.project_id)
            values["ha1_md5"], values["ha1_sha256"] = request.app.state.ha1(name, realm, password)
            values["credential_version"] = row.credential_version + 1
        changed = await platform.endpoints.change(row.id, **values)
    if changed is None:
        own(platform, row.project_id, row.id)
        raise Invalid(_TAKEN)
    if "credential_version" in values or values.get("enabled") is False:
        await platform.unbind(row.name)
    return changed


async def _body(request: Request, response: Response, view: View) -> dict[str, Any]:
    body = await body_object(request)
    unread = [name for name in body if name not in view.known]
    note_ignored(response, dict.fromkeys([*unread, *ignored_options(body)]), frozenset())
    return body


def _weak(request: Request, password: Any, name: str) -> list[Fault]:
    if password in (None, ""):
        return []
    fault = password_fault(password, name, request.app.state.password_min_length)
    return [fault] if fault else []


_TAKEN = Fault("username", "not_unique_within_project", "Username has already been taken")


def _judge(
    platform: Platform,
    project: str,
    view: View,
    body: Mapping[str, Any],
    values: dict[str, Any],
    faults: list[Fault],
    row: EndpointRow | None,
) -> Handler | None:
    """What only the other rows can tell; returns the handler if the body gives one. Raises Invalid with every fault."""
    other = platform.endpoints.in_project(project, str(values.get("username"))) if values.get("username") else None
    if other is not None and (row is None or other.id != row.id):
        faults = [*faults, _TAKEN]
    faults = [*faults, *_not_ours(platform, project, values), *_extension_taken(platform, project, values, row)]
    handler, more = _handler(platform, project, view, body, row.handler if row is not None else {})
    if faults or more:
        raise Invalid(*in_order([*faults, *more], FIELD_ORDER))
    return handler


FIELD_ORDER = ("id", "username", "password", "caller_id", "send_as", "codecs", "ciphers", "encryption", "call_handler")
"""Of API.md 2.2; what belongs to a handler, and `offhook`, follow."""


def _not_ours(platform: Platform, project: str, values: Mapping[str, Any]) -> list[Fault]:
    number = values.get("send_as")
    if number in (None, "random") or fabric.may_show(platform, project, str(number)):
        return []
    message = "Send_as must be a number of this project or a verified caller id"
    return [Fault("send_as", "not_purchased_or_verified", message)]


def _extension_taken(
    platform: Platform, project: str, values: Mapping[str, Any], row: EndpointRow | None
) -> list[Fault]:
    extension = values.get("offhook", {}).get("extension")
    holder = platform.endpoints.with_extension(project, extension) if isinstance(extension, str) else None
    if holder is None or (row is not None and holder.id == row.id):
        return []
    return [Fault("offhook.extension", "not_unique_within_project", "offhook.extension has already been taken")]


def _handler(
    platform: Platform, project: str, view: View, body: Mapping[str, Any], before: Handler
) -> tuple[Handler | None, list[Fault]]:
    """What is kept as the endpoint's handler; the word of its policy stays whatever a program is set or cleared."""
    policy = {"policy": before.get("policy", POLICIES[0])}
    if view.handler == "program":
        found, faults = handler_fields(body, before, OF_ENDPOINTS)
        return ({**policy, **found} if found is not None else None), faults
    if view.handler == "policy":
        return _policy(platform, project, body, before, policy)
    return None, []


def _policy(
    platform: Platform, project: str, body: Mapping[str, Any], before: Handler, policy: Handler
) -> tuple[Handler | None, list[Fault]]:
    word, resource = body.get("call_handler"), body.get("calling_handler_resource_id")
    if "call_handler" not in body and "calling_handler_resource_id" not in body:
        return None, []
    if word in POLICIES:
        return {"policy": word}, []
    if word not in (None, "", "resource"):
        message = f"call_handler must be one of: {', '.join((*POLICIES, 'resource'))}"
        return None, [Fault("call_handler", "invalid_parameter_value", message)]
    if resource in (None, ""):
        if word != "resource":
            # A null in either place: no resource, and the policy word is what it was.
            return policy, []
        if before.get("calling_handler_resource_id"):
            return None, []
        message = "calling_handler_resource_id is required when call_handler is resource"
        return None, [Fault("calling_handler_resource_id", "must_specify_related_parameter", message)]
    return _by_resource(platform, project, resource, policy)


def _by_resource(platform: Platform, project: str, id_: Any, policy: Handler) -> tuple[Handler | None, list[Fault]]:
    field = "calling_handler_resource_id"
    row = fabric.find(platform, project, id_) if isinstance(id_, str) else None
    if row is None:
        return None, [Fault(field, "does_not_exist", f"{field.capitalize()} does not exist")]
    handler = handlers.of_resource(row)
    if handler is None or handler["call_handler"] not in OF_ENDPOINTS:
        message = f"{field.capitalize()} must be a resource that can run a call, not a {fabric.type_of(row)}"
        return None, [Fault(field, "invalid_resource_for_handler", message)]
    return {**policy, **handler}, []


def assigned(platform: Platform, project: str, id_: str, row: EndpointRow) -> Handler:
    """The handler of an endpoint whose calls a resource takes from now on. Raises 422."""
    handler, faults = _by_resource(platform, project, id_, {"policy": row.handler.get("policy", POLICIES[0])})
    if handler is None:
        raise Invalid(*faults)
    return handler


async def _settled(platform: Platform, project: str, handler: Handler) -> Handler:
    if "calling_handler_resource_id" in handler or "call_handler" not in handler:
        return handler
    return await handlers.settled(platform, project, handler)


def _split_enabled(values: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """`offhook.enabled` is a column of its own; the other keys are kept together, given ones over old ones."""
    if "offhook" in values:
        after = merged(before, values["offhook"])
        if "enabled" in after:
            values["enabled"] = after.pop("enabled")
        values["offhook"] = after
    return values
