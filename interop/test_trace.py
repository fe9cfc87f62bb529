"""The trace of real calls: by the command, by the API, and in Wireshark's own decoder."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from interop.support.faulty_phone import KEY, SDES
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from interop.test_command_line import offhook
from tests.support.patience import PATIENCE


async def counted(capture: Path, what: str) -> int:
    """In how many packets Wireshark's own decoder finds this."""
    process = await asyncio.create_subprocess_exec(
        "tshark", "-r", str(capture), "-Y", what, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0
    return len(out.splitlines())


async def decoded(capture: Path) -> list[list[str]]:
    """What tshark reads as SIP: method, status code, Call-ID and CSeq of each packet; what was sent again is there once."""
    fields = [item for name in ("sip.Method", "sip.Status-Code", "sip.Call-ID", "sip.CSeq") for item in ("-e", name)]
    process = await asyncio.create_subprocess_exec(
        "tshark", "-r", str(capture), "-Y", "sip", "-T", "fields", *fields,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0
    return [line.split("\t") for line in dict.fromkeys(out.decode().splitlines())]


async def logged_calls(server: Offhook) -> list[str]:
    """The refs in the call log, once it has any."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with closing(sqlite3.connect(f"file:{server.data / 'offhook.sqlite'}?mode=ro", uri=True)) as database:
                refs = [row[0] for row in database.execute("select distinct call_ref from call_log")]
            if refs:
                return refs
            await asyncio.sleep(0.1)  # the log is written behind the call


async def test_a_call_in_every_form(server: Offhook, tmp_path: Path) -> None:
    phone = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
    await phone.call("echo")
    ref = (await server.calls())[0]["call_ref"]
    await phone.hang_up()
    phone.close()
    code, said = await offhook(server.data, "trace", ref)
    assert code == 0, said
    assert "alice -> echo: ended, hangup" in said
    for arrow in ("INVITE sip:echo@offhook.test", "407 Proxy Authentication Required (INVITE)", "200 OK (BYE)"):
        assert arrow in said
    assert "alice hears its own echo" in said

    file = tmp_path / "call.pcap"
    code, said = await offhook(server.data, "trace", ref, "--format", "pcap", "--output", str(file))
    assert code == 0, said
    packets = await decoded(file)
    assert [method or status for method, status, _, _ in packets if status != "100"] == [
        "INVITE", "407", "ACK", "INVITE", "200", "ACK", "BYE", "200",
    ]  # fmt: skip
    assert len({call_id for _, _, call_id, _ in packets}) == 1

    whole = (await server.http.get(f"/api/offhook/calls/{ref}/trace?raw=true")).json()
    sip = [row for row in whole["data"] if row["kind"] == "sip"]
    proven = [row["raw"] for row in sip if "Proxy-Authorization" in row["raw"]]
    assert proven
    assert all('response="********************************"' in text for text in proven)
    short = (await server.http.get(f"/api/offhook/calls/{ref}/trace")).json()
    assert all("raw" not in row for row in short["data"])


class Encrypted(PlainPhone):
    """SDES."""

    description = SDES


async def test_hidden_keys_leave_the_rest_of_a_message_readable(server: Offhook, tmp_path: Path) -> None:
    phone = Encrypted("alice", server.passwords["alice"], server.domain, server.sip)
    await phone.call("echo")
    ref = (await server.calls())[0]["call_ref"]
    await phone.hang_up()
    phone.close()
    file = tmp_path / "call.pcap"
    code, said = await offhook(server.data, "trace", ref, "--format", "pcap", "--output", str(file))
    assert code == 0, said
    # The INVITE without and with proof, and the answer; what was sent again is there again.
    assert await counted(file, "sdp.media contains SAVP") >= 3
    assert await counted(file, "_ws.malformed") == 0
    assert KEY.encode() not in file.read_bytes()


async def test_a_failed_call_explains_itself_even_after_a_restart(server: Offhook) -> None:
    phone = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
    assert (await phone.refused("bob")).startswith("SIP/2.0 480")
    phone.close()
    (ref,) = await logged_calls(server)
    code, said = await offhook(server.data, "call", "list", "--ended")
    assert code == 0, said
    assert ref in said
    assert "bob is not registered; open the phone or the page and sign in" in said
    code, said = await offhook(server.data, "trace")
    assert f"alice -> bob: ended, not_registered  ({ref})" in said, "the last that ended, without asking for its id"
    sentence = "bob is not registered; open the phone or the page and sign in"
    code, said = await offhook(server.data, "call", "show", ref)
    assert code == 0, said
    assert sentence in said
    call = (await server.http.get(f"/api/offhook/calls/{ref}")).json()
    assert call["explanation"].startswith(sentence)
    await server.stop()
    await server.start()
    code, said = await offhook(server.data, "trace", ref)
    assert code == 0, said
    assert sentence in said
    assert "480 Temporarily Unavailable (INVITE)" in said


async def test_no_such_call(server: Offhook, tmp_path: Path) -> None:
    code, said = await offhook(server.data, "trace", "nothing")
    assert (code, "No call has this id" in said) == (1, True)
    code, said = await offhook(server.data, "trace", "nothing", "--format", "pcap")
    assert (code, "--output" in said) == (1, True)
