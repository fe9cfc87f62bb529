"""What all resources of the fabric family share: the wrapper, addresses, and what may be deleted (API.md 2.2, 4.4, 4.5)."""

from collections.abc import Iterator, Mapping
from typing import Any

from offhook.api import endpoint_views
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.fabric_ports import AddressRow, ResourceRow
from offhook.api.paging import page
from offhook.api.ports import EndpointRow, Platform
from offhook.api.times import seconds

RESOURCES = "/api/fabric/resources"
SIP_ENDPOINT = "sip_endpoint"
ADDRESS_TYPES = {SIP_ENDPOINT: "call", "sip_gateway": "call", "subscriber": "subscriber", "video_room": "room"}
"""What kind of address a resource has; any other is an `app`."""

KINDS_OF_ADDRESS = ("subscriber", "call", "room", "app")
RESOURCE_TYPES = (
    SIP_ENDPOINT, "sip_gateway", "subscriber", "swml_webhook", "cxml_webhook", "swml_script", "cxml_script",
    "cxml_application", "video_room", "call_flow", "relay_application", "freeswitch_connector",
)  # fmt: skip
"""Of API.md 4.5; the later ones have no rows yet."""

WIDGET = "widget"
"""A resource of the own family, which is shown there alone."""
HIDDEN = ("secret_", "reference")
"""How names of settings begin that are never shown."""

Owner = EndpointRow | ResourceRow


def wrapped(row: ResourceRow) -> dict[str, Any]:
    """The wrapper with the fields of the type under the type's name, without secrets. People have no name beside the one
    that is displayed."""
    fields = {name: value for name, value in row.settings.items() if not name.startswith(HIDDEN) and name != "offhook"}
    named = {"display_name": row.name} if row.type == "subscriber" else {"name": row.name}
    whole = {
        "id": row.id,
        "project_id": row.project_id,
        "display_name": display_name(row),
        "type": row.type,
        "created_at": seconds(row.created_at),
        "updated_at": seconds(row.updated_at),
        row.type: {"id": row.id, **fields, **named},
    }
    return whole | ({"offhook": row.settings["offhook"]} if "offhook" in row.settings else {})


def show(row: Owner, platform: Platform) -> dict[str, Any]:
    """Any resource, endpoints among them."""
    return endpoint_views.fabric(row, platform) if isinstance(row, EndpointRow) else wrapped(row)


def type_of(row: Owner) -> str:
    """The type of a resource."""
    return SIP_ENDPOINT if isinstance(row, EndpointRow) else row.type


def display_name(row: Owner) -> str:
    """What people call it."""
    if isinstance(row, EndpointRow):
        return row.caller_id or row.username
    return str(row.settings.get("display_name") or row.name)


def find(platform: Platform, project: str, id_: str) -> Owner | None:
    """An endpoint or resource of the project."""
    row: Owner | None = platform.endpoints.get(id_) or platform.resources.get(id_)
    return row if row is not None and row.project_id == project and type_of(row) != WIDGET else None


def own(platform: Platform, project: str, id_: str, *types: str) -> ResourceRow:
    """A resource of one of the types. Raises 404."""
    row = platform.resources.get(id_)
    if row is None or row.project_id != project or (types and row.type not in types):
        raise not_found("resource_not_found", "No resource has this id")
    return row


def every(platform: Platform, project: str) -> Iterator[Owner]:
    """All resources of a project."""
    yield from (row for row in platform.endpoints if row.project_id == project)
    yield from (row for row in platform.resources if row.project_id == project and row.type != WIDGET)


def routed_by(platform: Platform, id_: str) -> int:
    """How many numbers, endpoints, applications and resources hand their calls to this one."""
    numbers = sum(1 for one in platform.numbers if id_ in (one.endpoint_id, _handler(one.settings)))
    endpoints = sum(1 for one in platform.endpoints if _handler(one.handler) == id_ != one.id)
    others = (*platform.resources, *platform.reception.applications)
    return numbers + endpoints + sum(1 for one in others if _handler(one.settings) == id_)


def _handler(settings: dict[str, Any]) -> Any:
    return settings.get("calling_handler_resource_id")


def refuse_if_routed(platform: Platform, id_: str) -> None:
    """Raises 422 while something routes to it."""
    count = routed_by(platform, id_)
    if count:
        text = f"Resource is the handler of {count} numbers or endpoints; reassign them first"
        raise Invalid(Fault("id", "resource_assigned_as_handler", text))


def address(row: AddressRow, platform: Platform) -> dict[str, Any]:
    """An address as API.md 4.4 shows it."""
    owner = find(platform, row.project_id, row.owner_id)
    path = f"/private/{row.name}"
    return {
        "id": row.id,
        "name": row.name,
        "display_name": display_name(owner) if owner is not None else row.name,
        "cover_url": None,
        "preview_url": None,
        "locked": row.locked,
        "channels": {"audio": f"{path}?channel=audio", "video": f"{path}?channel=video"},
        "created_at": seconds(row.created_at),
        "type": address_type(row, platform),
    }


def address_type(row: AddressRow, platform: Platform) -> str:
    """`subscriber`, `call`, `room` or `app`."""
    owner = find(platform, row.project_id, row.owner_id)
    return ADDRESS_TYPES.get(type_of(owner), "app") if owner is not None else "app"


def address_page(platform: Platform, owner_id: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
    """The list with the one address that it has."""
    row = platform.addresses.of(owner_id)
    rows = [row] if row is not None else []
    return page(rows, lambda one: one.id, lambda one: address(one, platform), path, query)


def may_show(platform: Platform, project: str, number: str) -> bool:
    """Whether the project may show a number to the outside: it is its own, or verified."""
    row = platform.numbers.find(number)
    own = row is not None and row.project_id == project
    return own or number in platform.reception.caller_ids.verified(project)
