"""Recordings as rows and files: what call control tells of them is kept, and the API reads it (`RecordingDesk`).

Lives here: words and places. Never here: sound (the engine's), commands (api/record_fields.py).
"""

import asyncio
import wave
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offhook.api.paging import stored_page
from offhook.api.times import seconds
from offhook.calls.effects import Happened
from offhook.calls.reports import kind_in
from offhook.store.recordings import COMPLETED, FAILED, RUNNING, RecordingRows

if TYPE_CHECKING:
    from offhook.server.app import App

LEGS = {"phone": "relay_pstn_leg_id", "sip": "relay_sip_leg_id", "webrtc": "relay_webrtc_leg_id"}
TRACKS = {"says": "inbound", "hears": "outbound"}
LONGEST_ERROR = 500


class Recordings:
    """`told` hears what call control tells; `load` before that."""

    def __init__(self, app: "App", rows: RecordingRows) -> None:
        self._app, self._rows = app, rows
        self._directory: Path = app.settings.data / "recordings"
        self._running: dict[str, dict[str, Any]] = {}

    async def load(self) -> None:
        """Those that ran when the last process ended: the engine may still write them, or tell of their end."""
        self._running = {row["id"]: row for row in await self._rows.running()}

    def told(self, happened: Happened) -> None:
        """Something happened; most of it is about something else."""
        if happened.type == "recording.started":
            self._started(happened)
        elif happened.type == "recording.finished":
            self._finished(dict(happened.details))

    def _started(self, happened: Happened) -> None:
        name = dict(happened.details)["recording"]
        switchboard = self._app.driver.switchboard
        taped, call = switchboard.index.recordings.get(name), switchboard.by_ref(happened.call_ref)
        leg = call.by_ref(happened.leg_ref) if call is not None else None
        if taped is None or call is None or leg is None or len(name) > 36:
            return
        now = datetime.now(UTC)
        row = {
            "id": name, "project_id": self._app.telling.happenings.owner(call), "call_ref": call.ref, "leg_ref": leg.ref,
            "kind": kind_in(call, leg), "side": str(taped.side), "file": taped.file, "status": RUNNING, "error": "",
            "duration_ms": 0, "bytes": 0, "created_at": now, "updated_at": now,
        }  # fmt: skip
        self._running[name] = row
        self._rows.keep(row)

    def _finished(self, details: Mapping[str, str]) -> None:
        row = self._running.pop(details["recording"], None)
        if row is None:
            return
        failed = details["reason"] == "failed"
        told = {
            "status": FAILED if failed else COMPLETED,
            "error": details.get("text", "")[:LONGEST_ERROR] if failed else "",
            "duration_ms": int(details.get("duration_ms", 0)),
            "bytes": int(details.get("bytes", 0)),
            "updated_at": datetime.now(UTC),
        }
        self._rows.keep({**row, **told})

    # ---- the API

    async def page(self, project: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        async def fetch(most: int, before: str, after: str) -> list[Mapping[str, Any]]:
            return await self._rows.page(project, before, after, most)

        return await stored_page(fetch, lambda row: str(row["id"]), self._shown, path, query)

    async def get(self, project: str, id_: str) -> dict[str, Any] | None:
        row = await self._row(id_)
        return self._shown(row) if row is not None and row["project_id"] == project else None

    async def _row(self, id_: str) -> dict[str, Any] | None:
        return self._running.get(id_) or await self._rows.get(id_)

    async def remove(self, project: str, id_: str) -> bool:
        row = await self._row(id_)
        if row is None or row["project_id"] != project or self._runs(id_):
            return False
        self._running.pop(id_, None)
        await self._rows.remove(id_)
        await asyncio.to_thread((self._directory / row["file"]).unlink, True)
        return True

    async def media(self, id_: str) -> tuple[str, Path] | None:
        row = await self._row(id_)
        if row is None:
            return None
        path = self._directory / row["file"]
        return (row["project_id"], path) if path.is_file() else None

    def protected(self, project: str) -> bool:
        row = self._app.store.projects.get(project)
        return row is None or bool(row.settings.get("protect_recordings", True))

    def _runs(self, id_: str) -> bool:
        return id_ in self._app.driver.switchboard.index.recordings

    def _shown(self, row: Mapping[str, Any]) -> dict[str, Any]:
        duration, size = row["duration_ms"], row["bytes"]
        status = row["status"]
        if status == RUNNING and not self._runs(row["id"]):
            # Nobody told of its end: its engine died. What was written has been made whole since.
            status = COMPLETED
        if status == COMPLETED and not size:
            duration, size = _measured(self._directory / row["file"])
        url = f"{self._app.http_url}/api/relay/rest/recordings/{row['id']}/media"
        return {
            "id": row["id"],
            "project_id": row["project_id"],
            "created_at": seconds(row["created_at"]),
            "updated_at": seconds(row["updated_at"]),
            "duration_in_seconds": duration // 1_000,
            "duration": duration // 1_000,
            "error_code": "recording_failed" if status == FAILED else None,
            "price": 0,
            "price_unit": "USD",
            "status": status,
            "url": url,
            "stereo": row["side"] == "both",
            "byte_size": size,
            "format": row["file"].rpartition(".")[2],
            "track": TRACKS.get(row["side"], "both"),
            "relay_conference_id": None,
            LEGS[row["kind"]]: row["leg_ref"],
            "offhook": {"call_ref": row["call_ref"], "duration_ms": duration, "error": row["error"] or None},
        }


def _measured(path: Path) -> tuple[int, int]:
    """Milliseconds and octets of a WAV file; nothing where there is none."""
    try:
        with closing(wave.open(str(path))) as file:
            return file.getnframes() * 1_000 // file.getframerate(), path.stat().st_size
    except (OSError, EOFError, wave.Error):
        return 0, 0
