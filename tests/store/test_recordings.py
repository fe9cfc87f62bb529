"""Recordings go with their files when their time is over; those that run, and younger ones, stay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from offhook.store.database import migrate
from offhook.store.recordings import COMPLETED, RUNNING, RecordingRows, remove_old
from offhook.store.writer import Writer
from tests.support.databases import Database

NOW = datetime(2026, 1, 31, tzinfo=UTC)


async def test_old_recordings_go_with_their_files(database: Database, tmp_path: Path) -> None:
    engine = database.open()
    await migrate(engine)
    writer = Writer(engine)
    writer.start()
    rows = RecordingRows(engine, writer)
    for name, age, status in (
        ("old", 40, COMPLETED),
        ("gone", 40, COMPLETED),
        ("runs", 40, RUNNING),
        ("new", 3, COMPLETED),
    ):
        begun = NOW - timedelta(days=age)
        rows.keep(
            {
                "id": name, "project_id": "p", "call_ref": "c", "leg_ref": "l", "kind": "sip", "side": "both",
                "file": f"{name}.wav", "status": status, "error": "", "duration_ms": 1, "bytes": 1,
                "created_at": begun, "updated_at": begun,
            }
        )  # fmt: skip
        if name != "gone":
            (tmp_path / f"{name}.wav").write_bytes(b"sound")
    await writer.drained()
    # A file that is gone already holds up nobody.
    assert await remove_old(engine, tmp_path, NOW - timedelta(days=30)) == 2
    assert [one["id"] for one in await rows.page("p", "", "", 10)] == ["runs", "new"]
    assert {path.name for path in tmp_path.glob("*.wav")} == {"runs.wav", "new.wav"}
    assert await rows.page("another", "", "", 10) == []
    assert [one["id"] for one in await rows.running()] == ["runs"]
    await writer.stop()
