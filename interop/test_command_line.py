"""The command `offhook` against a real server."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.server import Offhook
from offhook.cli import app
from tests.support.patience import PATIENCE

COMMAND = str(Path(sys.executable).with_name("offhook"))


async def process(data: Path, *arguments: str, settings: dict[str, str] | None = None) -> tuple[int, str]:
    """(exit code, everything it said) of a process of its own, which takes half a second of the processor to begin."""
    environment = {"PATH": "/usr/bin:/bin", "OFFHOOK_DATA": str(data), **(settings or {})}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    process = await asyncio.create_subprocess_exec(
        COMMAND, *arguments, env=environment, cwd=data.parent,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def offhook(data: Path, *arguments: str, settings: dict[str, str] | None = None) -> tuple[int, str]:
    """(exit code, everything it said) of a command that is run in this process: the server is another one in any case."""
    ours = dict.fromkeys(name for name in os.environ if name.startswith("OFFHOOK_"))
    environment = {**ours, "OFFHOOK_DATA": str(data), **(settings or {})}
    done = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


async def test_version_and_a_server_that_is_not_there(tmp_path: Path) -> None:
    code, said = await process(tmp_path / "none", "--version")
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
    assert (await offhook(server.data, "endpoint", "set", "carol", "--max-calls-per-hour", "20"))[0] == 0
    shown = (await offhook(server.data, "endpoint", "show", "carol"))[1]
    assert "max_calls_per_hour 20" in " ".join(shown.split())
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


async def test_a_taken_port_is_named_at_the_start(server: Offhook, tmp_path: Path) -> None:
    port = server.running["http_url"].rpartition(":")[2]
    settings = {"OFFHOOK_HTTP_PORT": port, "OFFHOOK_SIP_PORT": "0", "OFFHOOK_MEDIA_PORT": "0"}
    code, said = await process(tmp_path / "second", "serve", settings=settings)
    assert code == 1
    assert f"cannot listen on http.port {port}" in said
    assert "Traceback" not in said


async def test_a_start_that_cannot_be_says_what_is_in_the_way(server: Offhook, tmp_path: Path) -> None:
    """Exit status 1 and one sentence; nothing of a server that works there is touched."""
    free = dict.fromkeys(("OFFHOOK_HTTP_PORT", "OFFHOOK_SIP_PORT", "OFFHOOK_MEDIA_PORT"), "0")
    there = {path.name: path.read_bytes() for path in (server.data / "running.json", server.data / "first-run.json")}
    missing = str(tmp_path / "none.pem")
    for number, (data, settings, told) in enumerate(
        (
            (server.data, free, f"a server runs in {server.data} (pid {server.running['pid']})"),
            (tmp_path / "a", free | {"OFFHOOK_HOST": "203.0.113.77"}, "http.host 203.0.113.77: no such address"),
            (tmp_path / "a", free | {"OFFHOOK_MEDIA_BINARY": missing}, "OFFHOOK_MEDIA_BINARY names, is not there"),
            (
                tmp_path / "a",
                free | {"OFFHOOK_HTTP_CERTIFICATE": missing, "OFFHOOK_HTTP_KEY": missing, "OFFHOOK_HTTPS_PORT": "0",
                        "OFFHOOK_SIPS_PORT": "0"},
                f"the certificate {missing}: No such file",
            ),
        ),
        1,
    ):  # fmt: skip
        code, said = await process(data, "serve", settings=settings)
        assert (code, told in said, "Traceback" in said) == (1, True, False), (number, said)
    assert {name: (server.data / name).read_bytes() for name in there} == there, "5. the running server is still found"
    code, said = await offhook(server.data, "endpoint", "list")
    assert (code, "alice" in said) == (0, True), "6. and answers"


async def test_trunks_and_numbers(server: Offhook) -> None:
    code, said = await offhook(
        server.data, "trunk", "add", "acme", "--target", "127.0.0.3:9", "--username", "line1", "--password", "00123456",
        "--set", "failover.timeout_ms=900", "--set", "health.options_timeout_ms=500",
    )  # fmt: skip
    assert code == 0, said
    assert "carries no call out yet" in said
    code, said = await offhook(
        server.data, "trunk", "set", "acme", 'allowed_prefixes=["+1"]', "numbers.country_code=49"
    )
    assert (code, said.strip()) == (0, "changed trunk acme")
    code, said = await offhook(server.data, "trunk", "set", "acme", "max_channels=0", "ptime=1")
    assert code == 1
    assert "max_channels must be a whole number from 1 to 10000" in said
    assert "ptime must be a whole number from 10 to 60" in said
    code, said = await offhook(server.data, "trunk", "show", "acme")
    assert code == 0
    assert '"country_code": "49"' in said
    assert "password_set           true" in said
    assert "00123456" not in said
    code, said = await offhook(server.data, "trunk", "test", "acme")
    assert code == 1
    assert "ok   dns" in said
    assert "trunk_timeout: no answer to OPTIONS" in said
    code, said = await offhook(server.data, "number", "add", "+15125550100", "--to", "alice")
    assert (code, said.strip()) == (0, "made +15125550100, which rings alice")
    code, said = await offhook(server.data, "number", "add", "+15125550100", "--to", "bob")
    assert code == 1
    code, said = await offhook(server.data, "number", "route", "+15125550100", "--to", "bob")
    assert (code, said.strip()) == (0, "+15125550100 leads to bob")
    code, said = await offhook(server.data, "number", "list")
    assert said.splitlines()[1].split() == ["+15125550100", "bob"]
    code, said = await offhook(server.data, "number", "set", "+15125550100", "--fallback", "alice", "--name", "Main")
    assert (code, said.strip()) == (0, "changed +15125550100")
    row = json.loads((await offhook(server.data, "number", "show", "+15125550100", "--json"))[1])
    assert (row["name"], row["offhook"]["fallback"], row["call_handler"]) == ("Main", "alice", "relay_sip_endpoint")
    assert (await offhook(server.data, "number", "route", "+15125550100", "--to", "bob", "--nowhere"))[0] == 1
    for way, handler in (("--swml", "relay_script"), ("--cxml", "laml_webhooks")):
        assert (await offhook(server.data, "number", "route", "+15125550100", way, "https://example.com/a"))[0] == 0
        row = json.loads((await offhook(server.data, "number", "show", "+15125550100", "--json"))[1])
        assert row["call_handler"] == handler
    _, said = await offhook(server.data, "number", "list")
    assert said.splitlines()[1].split() == ["+15125550100", "https://example.com/a", "alice", "Main"]
    code, said = await offhook(server.data, "number", "route", "+15125550100", "--resource", "nobody")
    assert (code, "0 resources are called nobody" in said) == (1, True)
    assert (await offhook(server.data, "number", "route", "+15125550100", "--nowhere"))[0] == 0
    ranges = 'did_ranges=["+15125550200-+15125550209"]'
    assert (await offhook(server.data, "trunk", "set", "acme", ranges))[0] == 0
    found = json.loads((await offhook(server.data, "number", "search", "--areacode", "512", "--json"))[1])
    assert (len(found), found[0]["e164"]) == (10, "+15125550200")
    code, said = await offhook(server.data, "number", "claim", "+15125550200", "--to", "alice")
    assert (code, said.strip()) == (0, "claimed +15125550200, which rings alice")
    code, said = await offhook(server.data, "trunk", "test", "acme", "--to", "bob")
    assert (code, "E.164" in said) == (1, True)
    tested = json.loads((await offhook(server.data, "trunk", "test", "acme", "--json"))[1])
    assert [step["name"] for step in tested["steps"]] == ["dns", "connect", "options"]
    trunks = json.loads((await offhook(server.data, "trunk", "list", "--json"))[1])
    assert [one["name"] for one in trunks] == ["acme"]
    assert (await offhook(server.data, "number", "remove", "+15125550100"))[0] == 0
    assert (await offhook(server.data, "trunk", "remove", "acme"))[0] == 0
    code, said = await offhook(server.data, "trunk", "show", "acme")
    assert code == 1
    assert "No trunk is named acme" in said


async def test_a_call_is_placed_transferred_and_looked_up(server: Offhook, tmp_path: Path) -> None:
    await server.add_endpoint("carol", "carols-password")
    async with (
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob,
        Baresip(tmp_path, "carol", "carols-password", server.domain, server.sip) as carol,
    ):
        await bob.registered()
        await carol.registered()
        code, said = await offhook(server.data, "call", "dial", "nobody", "--from", "alice", "--connect", "carol")
        assert code == 1
        assert "Nobody here is called nobody" in said
        code, said = await offhook(server.data, "call", "dial", "bob", "--from", "alice", "--connect", "music")
        assert code == 0, said
        leg = said.strip()
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await bob.expect("CALL_ESTABLISHED")
        code, said = await offhook(server.data, "call", "list", "--json")
        assert [one["call_ref"] for one in json.loads(said)] == [leg]
        code, said = await offhook(server.data, "call", "transfer", leg, "carol")
        assert code == 0, said
        await carol.expect("CALL_INCOMING")
        await carol.answer()
        await carol.expect("CALL_ESTABLISHED")
        code, said = await offhook(server.data, "call", "end", leg, "--reason", "busy", "--json")
        assert code == 0, said
        await carol.expect("CALL_CLOSED")
        await server.until_idle()
        async with asyncio.timeout(PATIENCE):
            # Rows are written behind the call.
            while "outbound-dial" not in (await offhook(server.data, "call", "log", "--with", "carol"))[1]:
                await asyncio.sleep(0.1)
            while "busy (api_hangup)" not in (said := (await offhook(server.data, "call", "log", leg))[1]):
                await asyncio.sleep(0.1)
        assert "call.transferred" in said


async def test_everything_that_is_listed_or_done_speaks_json(server: Offhook, tmp_path: Path) -> None:
    """Each command with `--json` gives objects of the API, the doctor and the backup theirs."""

    async def given(*arguments: str) -> Any:
        code, said = await offhook(server.data, *arguments, "--json")
        assert code == 0, said
        return json.loads(said)

    made = await given("endpoint", "add", "carol", "--set", "offhook.extension=101", "--set", "encryption=optional")
    assert (made["offhook"]["extension"], len(made["password"])) == ("101", 16)
    assert (await given("endpoint", "set", "carol", "caller_id=42", "--max-calls", "3"))["caller_id"] == "42"
    assert (await given("endpoint", "show", "carol"))["offhook"]["max_calls"] == 3
    assert (await given("trunk", "add", "acme", "--target", "127.0.0.3:9", "--set", "health.options_interval=0"))["id"]
    assert (await given("trunk", "set", "acme", "max_channels=7"))["max_channels"] == 7
    assert (await given("number", "add", "+15125550100"))["number"] == "+15125550100"
    assert (await given("number", "route", "+15125550100", "--to", "carol"))["call_handler"] == "relay_sip_endpoint"
    assert (await given("number", "set", "+15125550100", "--name", "Main"))["name"] == "Main"
    token = await given("token", "add", "reader", "--scope", "monitor")
    assert token["token"].startswith("PT")
    assert (await given("token", "mint", "carol"))["jssip"]["uri"] == "sip:carol@offhook.test"
    assert (await given("webhook", "add", "here", "http://127.0.0.1:9/"))["name"] == "here"
    project = await given("project", "add", "customer")
    assert project["token"]["token"].startswith("PT")
    for command, name, values in (
        ("endpoint", "username", ["alice", "bob", "carol"]), ("trunk", "name", ["acme"]),
        ("number", "number", ["+15125550100"]), ("webhook", "name", ["here"]), ("registration", "id", []),
        ("device", "id", []), ("call", "call_ref", []),
    ):  # fmt: skip
        assert sorted(row[name] for row in await given(command, "list")) == values, command
    assert {"reader", "customer, first"} <= {row["name"] for row in await given("token", "list")}
    assert "customer" in {row["name"] for row in await given("project", "list")}
    assert await given("call", "log") == []
    async with asyncio.timeout(PATIENCE):
        while "config.changed" not in {row["type"] for row in await given("event", "list")}:
            await asyncio.sleep(0.1)  # they are written behind the change
    assert all(check["well"] for check in await given("doctor"))
    assert (await given("backup", str(tmp_path / "all.zip")))["file"] == str(tmp_path / "all.zip")
    for command, name in (("number", "+15125550100"), ("trunk", "acme"), ("endpoint", "carol"), ("webhook", "here")):
        assert (await given(command, "remove", name))["id"], command
    assert (await given("token", "remove", "reader"))["id"] == token["id"]


async def test_every_mistake_is_told_in_a_sentence(server: Offhook, tmp_path: Path) -> None:
    """Exit status 1, one sentence that says what would be right, and no traceback."""
    unknown = "01a20000-0000-7000-8000-000000000000"
    for arguments, told in (
        (("call", "show", unknown), "`offhook call list`"),
        (("call", "hangup", unknown), "`offhook call list`"),
        (("call", "log", unknown), "`offhook call log`"),
        (("trace", unknown), "`offhook call list`"),
        (("trace",), "No call has ended yet"),
        (("trace", unknown, "--format", "pcap"), "--output"),
        (("token", "mint", "nobody"), "`offhook endpoint list`"),
        (("token", "add", "x", "--scope", "everything"), "scopes are calling, numbers"),
        (("token", "remove", "nothing"), "`offhook token list`"),
        (("endpoint", "set", "alice"), "`offhook endpoint set --help`"),
        (("endpoint", "set", "alice", "colour"), "write name=value"),
        (("endpoint", "set", "alice", "encryption=perhaps"), "must be one of"),
        (("endpoint", "set", "alice", "colour=red"), "left out: colour"),
        (("number", "add", "12"), "E.164"),
        (("number", "route", "+15125550199", "--nowhere"), "`offhook number list`"),
        (("registration", "remove", "nobody"), "`offhook registration list`"),
        (("device", "block", "nobody"), "`offhook device list`"),
        (("webhook", "add", "x", "ftp://a"), "must be an http or https URL"),
        (("webhook", "add", "x", "https://203.0.113.7/", "--type", "calls"), "call.*"),
        (("webhook", "retry", unknown), "`offhook webhook deliveries`"),
        (("doctor", "--from", "pbx.example.com"), "like https://pbx.example.com"),
        (("restore", str(tmp_path / "none.zip")), "none.zip"),
        (("--config", str(tmp_path / "none.toml"), "endpoint", "list"), "none.toml"),
    ):
        code, said = await offhook(server.data, *arguments)
        assert (code, told in said, "Traceback" in said) == (1, True, False), (arguments, said)
    # A token that is wrong, and one that may not do it.
    code, said = await offhook(server.data, "endpoint", "list", settings={"OFFHOOK_TOKEN": "PT" + "0" * 48})
    assert (code, "from OFFHOOK_TOKEN" in said) == (1, True), said
    _, made = await offhook(server.data, "token", "add", "reader", "--scope", "monitor", "--json")
    reader = {"OFFHOOK_TOKEN": json.loads(made)["token"]}
    code, said = await offhook(server.data, "endpoint", "add", "dave", settings=reader)
    assert (code, "offhook token add" in said) == (1, True), said
    # A server that is gone without a word, and another program where it was.
    facts = json.loads((server.data / "running.json").read_text())
    ghost = tmp_path / "ghost"
    ghost.mkdir()
    stranger = await asyncio.start_server(_teapot, "127.0.0.1", 0)
    port = stranger.sockets[0].getsockname()[1]
    (ghost / "first-run.json").write_text((server.data / "first-run.json").read_text())
    for url, told in (
        (f"http://127.0.0.1:{port}", "is no Offhook"),
        ("http://127.0.0.1:9", "Is `offhook serve` running?"),
    ):
        (ghost / "running.json").write_text(json.dumps({**facts, "http_url": url}))
        code, said = await offhook(ghost, "endpoint", "list")
        assert (code, told in said, "Traceback" in said) == (1, True, False), said
    stranger.close()


async def _teapot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 3\r\n\r\ntea")
    writer.close()


async def test_a_device_is_named_and_kept_away(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await browser.open("alice", server.http_url)
        await page.start(server.websocket_url, server.uri("alice"), server.passwords["alice"])
        await page.expect("registered")
        (row,) = json.loads((await offhook(server.data, "device", "list", "alice", "--json"))[1])
        assert (await offhook(server.data, "device", "set", row["id"], "--name", "Desk", "--no-ring"))[0] == 0
        _, said = await offhook(server.data, "device", "list")
        assert "registered, quiet" in said.splitlines()[1]
        code, said = await offhook(server.data, "device", "block", "Desk")
        assert (code, said.strip()) == (0, "blocked Desk")
        assert json.loads((await offhook(server.data, "registration", "list", "--json"))[1]) == []
        code, said = await offhook(server.data, "device", "unblock", "Desk")
        assert (code, said.strip()) == (0, "unblocked Desk")
        code, said = await offhook(server.data, "device", "remove", "Desk")
        assert (code, said.strip()) == (0, "removed Desk")


async def test_a_shell_completes_commands(tmp_path: Path) -> None:
    words = {"_OFFHOOK_COMPLETE": "complete_bash", "COMP_WORDS": "offhook endp", "COMP_CWORD": "1"}
    code, said = await process(tmp_path / "none", settings=words)
    assert (code, said.split()) == (0, ["endpoint"])
    words = {**words, "COMP_WORDS": "offhook trunk t", "COMP_CWORD": "2"}
    assert (await process(tmp_path / "none", settings=words))[1].split() == ["test"]
