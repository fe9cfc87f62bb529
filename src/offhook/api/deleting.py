"""Deleting an endpoint or a resource, with what goes along: bindings, and a subscriber's endpoints (API.md 2.1, 4.1)."""

from offhook.api import fabric
from offhook.api.fabric import Owner
from offhook.api.ports import EndpointRow, Platform


async def delete(platform: Platform, row: Owner, hang_up: bool = False) -> None:
    """Its bindings are dropped at once, live calls finish unless `hang_up`. Raises 422 while something routes to it."""
    fabric.refuse_if_routed(platform, row.id)
    endpoint = platform.endpoints.get(row.id)
    if endpoint is not None:
        await _endpoint(platform, endpoint, hang_up)
        return
    theirs = [one for one in platform.endpoints if one.subscriber_id == row.id]
    for one in theirs:
        fabric.refuse_if_routed(platform, one.id)
    for one in theirs:
        await _endpoint(platform, one, hang_up)
    await platform.resources.remove(row.id)


async def _endpoint(platform: Platform, row: EndpointRow, hang_up: bool) -> None:
    await platform.endpoints.remove(row.id)
    await platform.unbind(row.name)
    if hang_up:
        await platform.hang_up_all(row.name, "endpoint_deleted")
