"""The command `offhook` against a real server."""

import asyncio
import os
import socket
import sys
from pathlib import Path

from interop.support.baresip import Baresip
from interop.support.server import Offhook

COMMAND = str(Path(sys.executable).with_name("offhook"))


async def offhook(data: Path, *arguments: str, settings: dict[str, str] | None = None) -> tuple[int, str]:
    """(exit code, everything it said)."""
    environment = {"PATH": "/usr/bin:/bin", "OFFHOOK_DATA": str(data), **(settings or {})}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    process = await asyncio.create_subprocess_exec(
        COMMAND, *arguments, env=environment, cwd=data.parent,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_version_and_a_server_that_is_not_there(tmp_path: Path) -> None:
    code, said = await offhook(tmp_path / "none", "--version")
    assert (code, said.split()[0]) == (0, "offhook")
    code, said = await offhook(tmp_path / "none", "endpoint", "list")
    assert code == 1
    assert "No server runs in" in said
    assert "offhook serve" in said


async def test_endpoints(server: Offhook) -> None:
    code, said = await offhook(server.data, "endpoint", "add", "carol", "--caller-id", "Carol")
    assert code == 0, said
    assert "made sip:carol@offhook.test" in said
    assert "password " in said
    code, said = await offhook(server.data, "endpoint", "add", "Carol", "--password", "short")
    assert code == 1
    assert "Username has already been taken" in said
    assert "Password must be at least 8 characters" in said
    code, said = await offhook(server.data, "endpoint", "list")
    assert [line.split()[0] for line in said.splitlines()] == ["NAME", "alice", "bob", "carol"]
    code, said = await offhook(server.data, "endpoint", "show", "carol")
    assert "sip:carol@offhook.test" in said
    code, said = await offhook(server.data, "endpoint", "set", "carol", "--forward-busy", "bob", "--do-not-disturb")
    assert (code, said.strip()) == (0, "changed carol")
    code, said = await offhook(server.data, "endpoint", "show", "carol")
    assert "'busy': 'bob'" in said
    code, said = await offhook(server.data, "endpoint", "set", "carol", "--ring", "loudly")
    assert code == 1
    assert "offhook.ring must be one of: parallel, serial, q" in said
    code, said = await offhook(server.data, "endpoint", "remove", "carol")
    assert (code, said.strip()) == (0, "removed carol")
    code, said = await offhook(server.data, "endpoint", "show", "carol")
    assert code == 1
    assert "No endpoint is named carol" in said


async def test_a_call_is_shown_and_ended(server: Offhook, tmp_path: Path) -> None:
    async with Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone:
        await phone.registered()
        await phone.dial("echo")
        await phone.expect("CALL_ESTABLISHED")
        ref = (await server.calls())[0]["call_ref"]
        _, said = await offhook(server.data, "call", "list")
        assert ref in said
        assert "talking" in said
        _, said = await offhook(server.data, "call", "show", ref)
        assert "bob -> echo: talking" in said
        assert "PCMU" in said
        code, said = await offhook(server.data, "call", "hangup", ref)
        assert code == 0, said
        await phone.expect("CALL_CLOSED")
        _, said = await offhook(server.data, "call", "show", ref)
        assert "ended: api_hangup" in said


async def test_doctor(server: Offhook, tmp_path: Path) -> None:
    code, said = await offhook(server.data, "doctor")
    assert "the server runs" in said
    assert server.running["sip"] in said
    assert "browsers are told" in said
    assert code == 0, said
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = await offhook(tmp_path / "other", "doctor", settings={"OFFHOOK_HTTP_PORT": port})
    assert code == 1
    assert f"WRONG  TCP {port} (http.port) is in use" in said
    assert "Stop the other program" in said


async def test_a_taken_port_is_named_at_the_start(server: Offhook, tmp_path: Path) -> None:
    port = server.running["http_url"].rpartition(":")[2]
    settings = {"OFFHOOK_HTTP_PORT": port, "OFFHOOK_SIP_PORT": "0", "OFFHOOK_MEDIA_PORT": "0"}
    code, said = await offhook(tmp_path / "second", "serve", settings=settings)
    assert code == 1
    assert f"cannot listen on http.port {port}" in said
    assert "Traceback" not in said
