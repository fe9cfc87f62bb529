"""Widgets: `/api/offhook/widgets` (API.md 4.3)."""

from typing import Any

from fastapi import APIRouter, Request

from offhook.api import fabric
from offhook.api.auth import Management
from offhook.api.describe import described, identifier, list_of, listing, record, text, whole, without_required
from offhook.api.errors import Invalid, project_gone
from offhook.api.fabric_ports import ResourceRow
from offhook.api.paging import page
from offhook.api.ports import Platform
from offhook.api.requests import body_object, unknown_fields
from offhook.api.times import milliseconds
from offhook.api.widgets import MOST_CALLS, MOST_ORIGINS, WIDGET, new_key, widget_fields

PATH = "/api/offhook/widgets"
KNOWN = ("name", "address_id", "origins", "max_calls")
router = APIRouter(tags=["Widgets"])
_FIELDS = {
    "name": text(128, 1),
    "address_id": identifier(),
    "origins": list_of(text(), MOST_ORIGINS),
    "max_calls": whole(1, MOST_CALLS),
}
_NEW = record("NewWidget", "name", "address_id", **_FIELDS)
_SHOWN = record("Widget", "id", "key", *_FIELDS, id=identifier(), key=text(), **_FIELDS)


def _shown(row: ResourceRow) -> dict[str, Any]:
    """The key is public: it stands in pages."""
    fields = {name: row.settings[name] for name in ("key", "address_id", "origins", "max_calls")}
    return {"id": row.id, "name": row.name, **fields, "created_at": milliseconds(row.created_at)}


@router.get(PATH, **described(gives=listing(_SHOWN)))
async def list_widgets(request: Request, token: Management) -> dict[str, Any]:
    """Newest first."""
    platform: Platform = request.app.state.platform
    rows = platform.resources.of_type(token.project_id, WIDGET)
    return page(rows, lambda row: row.id, _shown, PATH, dict(request.query_params))


@router.post(PATH, status_code=201, **described(takes=_NEW, gives=_SHOWN))
async def create_widget(request: Request, token: Management) -> dict[str, Any]:
    """A public key for pages of these origins; without origins any page may use it."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    settings, faults = widget_fields(body, {}, platform, token.project_id)
    faults = [*unknown_fields(body, KNOWN), *faults]
    if faults:
        raise Invalid(*faults)
    row = await platform.resources.create(token.project_id, WIDGET, body["name"], {**settings, "key": new_key()})
    if row is None:
        raise project_gone()
    platform.widgets_changed()
    return _shown(row)


@router.get(PATH + "/{id_}", **described(gives=_SHOWN))
async def show_widget(id_: str, request: Request, token: Management) -> dict[str, Any]:
    """One widget."""
    return _shown(fabric.own(request.app.state.platform, token.project_id, id_, WIDGET))


@router.patch(PATH + "/{id_}", **described(takes=without_required("WidgetChange", _NEW), gives=_SHOWN))
async def change_widget(id_: str, request: Request, token: Management) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; a new address ends the tokens that were given for the old one."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    row = fabric.own(platform, token.project_id, id_, WIDGET)
    settings, faults = widget_fields(body, row.settings, platform, token.project_id)
    faults = [*unknown_fields(body, KNOWN), *faults]
    if faults:
        raise Invalid(*faults)
    changed = await platform.resources.change(id_, body.get("name", row.name), settings) or row
    platform.widgets_changed()
    return _shown(changed)


@router.delete(PATH + "/{id_}", status_code=204)
async def delete_widget(id_: str, request: Request, token: Management) -> None:
    """Its key and its tokens are no good from now on; live calls go on."""
    platform: Platform = request.app.state.platform
    await platform.resources.remove(fabric.own(platform, token.project_id, id_, WIDGET).id)
    platform.widgets_changed()
