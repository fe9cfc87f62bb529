"""`offhook backup` while the server writes, `offhook restore` into an empty directory: the same endpoints are served."""

import asyncio
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.conftest import DOMAIN, check_log
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from interop.test_kill import PATH, Witness
from tests.support.databases import Cluster
from tests.support.patience import PATIENCE

KINDS = ("sqlite", "postgresql")
PASSWORD = "a long enough secret"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as one:
        yield one


async def offhook(data: Path, *words: str, url: str = "") -> tuple[int, str]:
    """The command as a person gives it; exit code and what it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")}
    environment |= {"OFFHOOK_STORE_URL": url} if url else {}
    command = [str(Path(sys.executable).with_name("offhook")), "--data", str(data), *words]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def registers(server: Offhook, username: str) -> None:
    phone = PlainPhone(username, PASSWORD, DOMAIN, server.sip)
    await phone.register()
    phone.close()


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("sqlite", "postgresql"),
        pytest.param("postgresql", "sqlite", marks=[pytest.mark.long, pytest.mark.timeout(300)]),
    ],
)
async def test_a_backup_under_load_serves_the_same(cluster: Cluster, tmp_path: Path, source: str, target: str) -> None:
    urls = {kind: cluster.create() if kind == "postgresql" else "" for kind in KINDS}
    settings = {"OFFHOOK_DOMAIN": DOMAIN, "OFFHOOK_LOG_LEVEL": "info"}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    file, witness = tmp_path / "offhook.zip", Witness()
    async with Offhook(tmp_path / "a", {**settings, "OFFHOOK_STORE_URL": urls[source]}) as server:
        await server.add_endpoint("carol", PASSWORD)
        trunk = {
            "name": "acme",
            "targets": [{"uri": "sip:127.0.0.1:9"}],
            "password": "the carrier's own",
            "enabled": False,
        }
        made = await server.http.post("/api/offhook/trunks", json=trunk)
        assert made.status_code == 201
        writers = [asyncio.create_task(witness.write(server)) for _ in range(3)]
        async with asyncio.timeout(PATIENCE):
            while len(witness.made) < 5:
                await asyncio.sleep(0.05)  # somebody has to have written
        before = set(witness.made) - witness.tried
        code, said = await offhook(server.data, "backup", str(file), url=urls[source])
        assert code == 0, said
        assert not any(one.done() for one in writers), "1. the server went on writing"
        for one in writers:
            one.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        again = await offhook(server.data, "restore", str(file), "--force", url=urls[source])
        assert again[0] == 1
        assert "a server runs" in again[1], "2. nothing is pulled away under a running server"
    assert file.stat().st_mode & 0o777 == 0o600, "3. for its owner alone"

    data = tmp_path / "b" / "offhook-data"
    code, said = await offhook(data, "restore", str(file), url=urls[target])
    assert code == 0, said
    code, said = await offhook(data, "restore", str(file), url=urls[target])
    assert code == 1
    assert "--force" in said, "4. what is there is not overwritten by accident"
    code, said = await offhook(data, "restore", str(file), "--force", url=urls[target])
    assert code == 0, said
    async with Offhook(tmp_path / "b", {**settings, "OFFHOOK_STORE_URL": urls[target]}) as restored:
        assert restored.token == server.token, "5. the same installation: its API token opens it"
        await registers(restored, "carol")
        names = {one["username"] for one in (await restored.http.get(f"{PATH}?page_size=1000")).json()["data"]}
        assert before - witness.deleted <= names, "6. whatever was acknowledged before the backup is there"
        assert names <= witness.tried | set(witness.made) | {"alice", "bob", "carol"}
        for name in sorted(before & names)[:3]:
            await registers(restored, name)
        (row,) = (await restored.http.get("/api/offhook/trunks")).json()["data"]
        assert row["id"] == made.json()["id"]
        assert row["password_set"], "7. what was sealed opens"
        if target == "postgresql":
            code, said = await offhook(tmp_path / "c", "restore", str(file), "--force", url=urls[target])
            assert code == 1
            assert "running servers use the database" in said, "8. nor under a server with another data directory"
    assert "cannot be read" not in restored.log()
    check_log(server)
    check_log(restored)


async def test_a_wrong_file_is_refused_in_words(server: Offhook, tmp_path: Path) -> None:
    file, data = tmp_path / "offhook.zip", tmp_path / "elsewhere"
    assert (await offhook(server.data, "backup", str(file)))[0] == 0

    async def refused(path: Path) -> str:
        code, said = await offhook(data, "restore", str(path))
        assert code == 1
        assert "Traceback" not in said
        assert not (data / "offhook.sqlite").exists()
        return said

    assert "there is no database" in (await offhook(data, "backup", str(tmp_path / "x.zip")))[1]
    poem = tmp_path / "poem"
    poem.write_text("no zip file")
    assert "no whole backup" in await refused(poem)
    whole = bytearray(file.read_bytes())
    at = whole.index(b"tables/endpoints.jsonl") + 60
    whole[at] ^= 0xFF
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(whole)
    assert "damaged" in await refused(damaged)
    newer = tmp_path / "newer.zip"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(newer, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name == "backup.json":
                text = json.dumps({**json.loads(text), "schema": "9999", "offhook": "7.0"}).encode()
            new.writestr(name, text)
    assert "made by Offhook 7.0 (format 1, schema 9999)" in await refused(newer)
    assert str(tmp_path / "missing.zip") in await refused(tmp_path / "missing.zip")
