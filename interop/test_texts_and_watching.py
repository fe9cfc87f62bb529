"""Texts, digits by INFO and event packages with the programs people have: JsSIP, SIP.js, baresip, SIPp."""

import asyncio
import re
from pathlib import Path

import pytest

from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.parties import signed_in, talk
from interop.support.server import Offhook
from interop.support.sipp import LIFE
from tests.support.patience import PATIENCE


async def test_texts_between_a_page_and_a_phone(server: Offhook, tmp_path: Path) -> None:
    async with (
        Browser("chromium", tmp_path) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, contact="alice") as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, "alice")
        await page.run("agent.jssip.say(args, 'tea?')", server.uri("bob"))
        assert (await page.expect("said"))["status"] == 200
        await phone.logged("created device 'alert'")  # without a terminal it shows no texts, but it sounds for each
        await phone.write("in five minutes")
        came = await page.expect("message")
        assert (came["from"], came["text"]) == (server.uri("bob"), "in five minutes")


async def test_a_text_to_nobody_says_why(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await signed_in(browser, server, "alice")
        await page.run("agent.jssip.say(args, 'tea?')", server.uri("bob"))
        said = await page.expect("said")
        assert said["status"] == 480
        assert "text-not-delivered" in said["warning"]


@pytest.mark.parametrize(
    ("program", "library", "method"),
    [
        ("chromium", "jssip", "INFO"),
        ("chromium", "sipjs", "INFO"),
        pytest.param("chromium", "sipjs", "RFC2833", marks=pytest.mark.long),
        pytest.param("firefox", "jssip", "INFO", marks=pytest.mark.long),
        pytest.param("firefox", "jssip", "RFC2833", marks=pytest.mark.long),
        pytest.param("firefox", "sipjs", "INFO", marks=pytest.mark.long),
        pytest.param("firefox", "sipjs", "RFC2833", marks=pytest.mark.long),
    ],
)
async def test_digits_of_a_page_reach_a_phone_as_events(
    server: Offhook, tmp_path: Path, program: str, library: str, method: str
) -> None:
    """DTMF-1: one press, one digit; a page has telephone-event, and INFO is read all the same."""
    async with (
        Browser(program, tmp_path, tone=1000) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone,
    ):
        await phone.registered()
        page = await browser.open("alice", server.http_url, library)
        await page.start(server.websocket_url, server.uri("alice"), server.passwords["alice"])
        await page.expect("registered")
        await talk(page, server, phone)
        await phone.hears(1000, 1)
        await page.digits("17#", method)
        got = [(await phone.expect("CALL_DTMF_START"))["param"] for _ in range(3)]
        assert got == ["1", "7", "#"]
        call = await server.call((await server.calls())[0]["call_ref"])
        caller = next(leg for leg in call["legs"] if leg["role"] == "caller")
        by = "info" if method == "INFO" else "rfc4733"
        assert [(one["digit"], one["method"]) for one in caller["digits"]] == [("1", by), ("7", by), ("#", by)]
        await page.hang_up()


async def watched(server: Offhook) -> None:
    """Waits until somebody has been told of a presence."""
    async with asyncio.timeout(PATIENCE):
        while not re.search(r"message='NOTIFY .*<basic>open", server.log()):
            await asyncio.sleep(0.1)  # a file; nothing can be awaited for it


async def test_a_phone_watches_presence(server: Offhook, tmp_path: Path) -> None:
    """baresip subscribes to presence of its contact by itself."""
    password = server.passwords["bob"]
    async with Baresip(tmp_path, "bob", password, server.domain, server.sip, contact="alice", watches=True) as phone:
        await phone.registered()
        async with Browser("chromium", tmp_path) as browser:
            await signed_in(browser, server, "alice")
            # It asks before or after the page comes, and does not call what it hears first a change.
            await watched(server)
        await phone.logged("to \x1b[31mOffline")


SCENARIO = """\
<?xml version="1.0" encoding="UTF-8"?>
<scenario name="watcher">
  <!-- Each is sent once: of one that came again, since its answer was late, a second challenge would be unexpected. -->
  <send><![CDATA[{request}]]></send>
  <recv response="407" auth="true"></recv>
  <send><![CDATA[{proven}]]></send>
  <recv response="200"></recv>
  <recv request="NOTIFY"></recv>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"""

SUBSCRIBE = """
SUBSCRIBE sip:[service]@{domain} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:alice@{domain}>;tag=[call_number]
To: <sip:[service]@{domain}>
Call-ID: [call_id]
CSeq: {number} SUBSCRIBE
Contact: <sip:alice@[local_ip]:[local_port]>
Event: {package}
Expires: 600
{proof}Content-Length: 0

"""


@pytest.mark.parametrize(("package", "whom"), [("dialog", "bob"), ("presence", "bob"), ("message-summary", "alice")])
async def test_sipp_subscribes(server: Offhook, tmp_path: Path, package: str, whom: str) -> None:
    """SUBSCRIBE, 407, SUBSCRIBE, 200, NOTIFY, as SIPp's own parser sees it."""
    proof = f"[authentication username=alice password={server.passwords['alice']}]\n"
    made = [
        SUBSCRIBE.format(domain=server.domain, package=package, number=number, proof=text)
        for number, text in ((1, ""), (2, proof))
    ]
    scenario = tmp_path / "watcher.xml"
    scenario.write_text(SCENARIO.format(request=made[0], proven=made[1]))
    process = await asyncio.create_subprocess_exec(
        "sipp", server.sip, "-sf", str(scenario), "-s", whom, "-m", "1", "-i", "127.0.0.1", "-nostdin",
        "-timeout", LIFE, "-trace_err", cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, out.decode(errors="replace")[-3000:]
