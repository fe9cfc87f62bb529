"""Devices as the API sees them (offhook.api.device_ports.DeviceDesk)."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from offhook.server import registrations
from offhook.sip.location import Binding, device_name
from offhook.store.devices import Device

if TYPE_CHECKING:
    from offhook.server.app import App


DAYS = 30
"""Of the figures."""


class ServerDevices:
    """Reads the store; what a device may no longer do, it can no longer do when the answer leaves."""

    def __init__(self, app: "App") -> None:
        self._app = app

    def all(self) -> list[dict[str, Any]]:
        there: dict[tuple[str, str], list[str]] = {}
        for one in self._live():
            there.setdefault((one.aor, device_name(one.instance)), []).extend(registrations.warnings(one))
        return [self._shown(row, there) for row in self._app.store.devices]

    def one(self, id_: str) -> dict[str, Any] | None:
        row = self._app.store.devices.get(id_)
        if row is None:
            return None
        bound = self._bindings(row)
        said = [warning for one in bound for warning in registrations.warnings(one)]
        return self._shown(row, {(bound[0].aor, row.instance_id): said} if bound else {})

    async def with_figures(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        since = datetime.now(UTC) - timedelta(days=DAYS)
        found = await self._app.calling.log.by_device(since, [row["id"] for row in rows])
        figures = (found.get(row["id"], (0, None)) for row in rows)
        return [{**row, "calls_30d": calls, "mos_30d": mos} for row, (calls, mos) in zip(rows, figures, strict=True)]

    async def change(self, id_: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        if "blocked" in fields:
            # The word of an operator ends what was for a while.
            fields = {**fields, "blocked_until": None}
        row = await self._app.store.devices.change(id_, **fields)
        if row is not None and fields.get("blocked"):
            self._keep_away(row)
        return self.one(id_)

    async def remove(self, id_: str) -> None:
        row = self._app.store.devices.get(id_)
        if row is not None:
            bound = [one.id for one in self._bindings(row)]
            await self._app.store.devices.remove(id_)
            for one in bound:
                registrations.kick(self._app, one, hang_up=False)

    async def block_for(self, id_: str, seconds: int) -> None:
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        row = await self._app.store.devices.change(id_, blocked_until=until)
        if row is not None:
            self._keep_away(row)

    async def call(self, endpoint_id: str, instance_id: str, name: str) -> None:
        endpoint = self._app.store.endpoints.get(endpoint_id)
        if endpoint is not None:
            there = self._app.store.instances(self._app.store.aor(endpoint.name))
            await self._app.store.devices.called(endpoint_id, instance_id, name, there)

    def leave(self, ids: Collection[str] | None) -> None:
        """Another node may have blocked these devices, None for any: those that are registered here go."""
        now, rows = datetime.now(UTC), self._app.store.devices
        for row in rows if ids is None else filter(None, map(rows.get, ids)):
            if row.is_blocked(now):
                self._keep_away(row)

    def _keep_away(self, row: Device) -> None:
        for one in self._bindings(row):
            registrations.kick(self._app, one.id, hang_up=False)
            if not one.path:
                # What is no WebSocket stays open, and its calls say nothing of the device.
                self._app.authenticator.keep_away(one.flow.id, row.instance_id)

    def _bindings(self, row: Device) -> list[Binding]:
        endpoint = self._app.store.endpoints.get(row.endpoint_id)
        found = self._app.store.find(self._app.store.aor(endpoint.name)) if endpoint is not None else ()
        return [one for one in found if device_name(one.instance) == row.instance_id]

    def _live(self) -> list[Binding]:
        now = asyncio.get_running_loop().time()
        return [one for one in self._app.store.bindings if one.expires_at > now]

    def _shown(self, row: Device, there: dict[tuple[str, str], list[str]]) -> dict[str, Any]:
        """`there`: the warnings of what is registered, by address of record and instance id."""
        endpoint = self._app.store.endpoints.get(row.endpoint_id)
        aor = self._app.store.aor(endpoint.name) if endpoint is not None else ""
        return {
            "id": row.id,
            "endpoint_id": row.endpoint_id,
            "instance_id": row.instance_id,
            "name": row.name,
            "user_agent": row.user_agent,
            "first_seen_at": _iso(row.first_seen_at),
            "last_seen_at": _iso(row.last_seen_at),
            "last_source": row.last_source or None,
            "registered": (aor, row.instance_id) in there,
            "ring": row.ring,
            "blocked": row.is_blocked(datetime.now(UTC)),
            "blocked_until": _iso(row.blocked_until) if not row.blocked else None,
            "calls_30d": None,
            "mos_30d": None,
            "warnings": list(dict.fromkeys(there.get((aor, row.instance_id), ()))),
        }


def _iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
