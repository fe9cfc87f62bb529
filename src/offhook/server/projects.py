"""A project that is deleted: its devices, trunks and tokens go out of service, then all its rows go."""

from typing import TYPE_CHECKING

from offhook.calls.commands import DropTrunk

if TYPE_CHECKING:
    from offhook.server.app import App


async def remove(app: "App", id_: str) -> None:
    """Takes everything of a project out of service, then deletes it. What was being made in it meanwhile goes too."""
    tokens = app.store.spaces.tokens
    for token in [one for one in tokens if one.project_id == id_]:
        await tokens.remove(token.id)
    await _empty(app, id_)
    await app.store.projects.remove(id_)
    await _empty(app, id_)


async def _empty(app: "App", id_: str) -> None:
    store = app.store
    for endpoint in [one for one in store.endpoints if one.project_id == id_]:
        await store.endpoints.remove(endpoint.id)
        await app.platform.unbind(endpoint.name)
    for trunk in [one for one in store.trunks if one.project_id == id_]:
        await store.trunks.remove(trunk.id)
        app.driver.command(DropTrunk(trunk.id))
    for resource in [one for one in store.resources if one.project_id == id_]:
        await store.resources.remove(resource.id)
    for caller_id in [one for one in store.caller_ids if one.project_id == id_]:
        await store.caller_ids.remove(caller_id.id)
    for application in [one for one in store.applications if one.project_id == id_]:
        await store.applications.remove(application.id)
    for webhook in app.telling.webhooks.of_project(id_):
        await app.telling.webhooks.remove(webhook.id)
