"""The browser guide (API.md 15.3): stock JsSIP in Chromium over WSS. The certificate is verified as browsers verify: the
server's own authority is installed in Chromium's certificate store, nothing is ignored. Signalling is secure or refused."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interop.conftest import DOMAIN, ServerMaker
from interop.support.browser import Browser, Page
from interop.support.cable import Cable
from interop.support.kamailio import ADDRESS, TONE, Carrier
from interop.support.ports import free_port
from interop.support.server import Offhook
from interop.test_trunks import NUMBER, OURS, make_number, make_trunk
from interop.test_video import moves

PASSWORD = "a long enough secret"
FAMILIES = (
    ("/api/fabric/resources/sip_endpoints", 200, "jssip1"),
    ("/api/relay/rest/endpoints/sip", 201, "jssip2"),
)  # fmt: skip


@dataclass(slots=True)
class House:
    """A server on all addresses with a certificate of its own authority, and a browser that has the authority installed."""

    server: Offhook
    browser: Browser
    cable: Cable

    @property
    def place(self) -> str:
        """Name and port, as people type them."""
        return f"{DOMAIN}:{self.server.running['https_url'].rpartition(':')[2]}"

    async def page(self, name: str) -> Page:
        """A page of the server over HTTPS; Chromium opens none whose certificate it does not trust."""
        return await self.browser.open(name, f"https://{self.place}/")

    async def typed(self, page: Page, username: str, path: str = "", via: str = "") -> None:
        """What the guide says to type."""
        options = {"registrar_server": f"sip:{DOMAIN}"}
        await page.start(f"wss://{self.place}{path}", f"sip:{username}@{DOMAIN}", PASSWORD, via=via, **options)
        await page.expect("registered")

    async def provisioned(self, page: Page, username: str) -> None:
        """The page asks for everything: a token of its own is all that it was given."""
        made = await self.server.http.post("/api/offhook/provision", json={"endpoint": username})
        assert made.status_code == 200, made.text
        bearer = made.json()["token"]["value"]
        given = await page.run(
            "await fetch('/api/offhook/provision', {method: 'POST', headers: {Authorization: 'Bearer ' + args}})"
            ".then(answer => answer.json())",
            bearer,
        )
        assert given["sip"]["websocket_urls"] == [f"wss://{self.place}"]
        jssip = dict(given["jssip"])
        await page.start(given["sip"]["websocket_urls"][0], jssip.pop("uri"), jssip.pop("password"), **jssip)
        await page.expect("registered")

    async def first_leg(self) -> dict[str, Any]:
        """The browser's leg of the one call."""
        call = await self.server.call((await self.server.calls())[0]["call_ref"])
        return dict(next(leg for leg in call["legs"] if leg["type"] == "webrtc"))


@pytest.fixture
async def house(serve: ServerMaker, tmp_path: Path) -> AsyncIterator[House]:
    http = free_port()
    settings = {
        "OFFHOOK_HOST": "0.0.0.0",
        "OFFHOOK_HTTP_PORT": str(http),
        "OFFHOOK_HTTP_LOCAL_AUTHORITY": "true",
        # For the page that tries it in clear: it comes from this machine and connects to another of its addresses.
        "OFFHOOK_HTTP_ORIGINS": f"http://localhost:{http}",
    }
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(**settings))
        port = int(server.running["https_url"].rpartition(":")[2])
        cable = await stack.enter_async_context(Cable("127.0.0.1", port))
        authority = ssl.DER_cert_to_PEM_cert((await server.http.get("/ca/offhook-authority.crt")).content)
        names = (f"MAP {DOMAIN}:{port} 127.0.0.1:{cable.port}",)
        browser = Browser("chromium", tmp_path, tone=1000, names=names, trusts=authority)
        await stack.enter_async_context(browser)
        for path, status, username in FAMILIES:
            body = {"username": username, "password": PASSWORD, "encryption": "required"}
            answer = await server.http.post(path, json=body)
            assert answer.status_code == status, answer.text
        yield House(server, browser, cable)


def own_address() -> str:
    """An address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.99", 9))
        return str(one.getsockname()[0])


async def talk(first: Page, second: Page) -> None:
    """Dialling just `jssip2` rings it; sound and picture cross."""
    for page in (first, second):
        await page.run("agent.camera(true)")
    await first.call("jssip2")
    await second.expect("incoming")
    await second.answer()
    await first.expect("confirmed")
    await second.hears(1000)
    assert (await moves(second))["codec"] in ("video/VP8", "video/H264")
    await first.hang_up()
    await second.expect("ended")
    for page in (first, second):
        await page.run("agent.camera(false)")


async def rung_by_a_number(server: Offhook, carrier: Carrier, page: Page) -> None:
    """An imported number rings the endpoint."""
    caller = await carrier.call_in(OURS)
    await page.expect("incoming")
    await page.answer()
    await page.expect("confirmed")
    await page.hears(TONE)
    await page.hang_up()
    await page.expect("ended")
    # It has answered our BYE, which would be the first that the next telephone at its port hears.
    await caller.done()
    await server.until_idle()


async def test_typed_by_hand(house: House, tmp_path: Path) -> None:
    server, cable = house.server, house.cable
    first, second, third = [await house.page(name) for name in ("jssip1", "jssip2", "third")]
    # 1. without and with a path; via_transport as it is, TLS and WSS
    await house.typed(third, "jssip1", path="/sip", via="WSS")
    await third.close()
    await house.typed(first, "jssip1")
    await house.typed(second, "jssip2", path="/any/path", via="TLS")
    rows = (await server.http.get("/api/offhook/registrations")).json()["data"]
    assert {(row["username"], row["transport"]) for row in rows} == {("jssip1", "wss"), ("jssip2", "wss")}
    # 2. in clear from elsewhere: refused, with the reason
    clear = await house.browser.open("clear", f"{server.http_url}healthz")  # a page whose policy lets it go anywhere
    port = server.http_url.rstrip("/").rpartition(":")[2]
    await clear.start(f"ws://{own_address()}:{port}", f"sip:jssip1@{DOMAIN}", PASSWORD)
    failed = await clear.expect("registrationFailed")
    assert (failed["status"], "tls-required" in failed["warning"]) == (403, True), failed
    await clear.close()
    # 3. they talk and see each other
    await talk(first, second)
    async with Carrier(tmp_path, f"127.0.0.1:{server.sip.rpartition(':')[2]}") as carrier:
        await make_trunk(server, targets=[{"uri": f"sip:{ADDRESS}:{carrier.port}"}])
        await make_number(server, OURS, "jssip1")
        # 4. an imported number rings
        await rung_by_a_number(server, carrier, first)
        # 5. out through the trunk; the call outlives a broken socket and another network
        telephone = await carrier.telephone()
        await first.call(NUMBER)
        await first.expect("confirmed")
        ref = (await server.calls())[0]["call_ref"]
        cable.pull()
        await server.until(ref, lambda call: call["legs"][0]["flow"]["state"] == "detached")
        cable.plug()
        await server.until(ref, lambda call: call["legs"][0]["flow"]["moves"] == 1)
        cable.vanish()
        await server.until(ref, lambda call: call["legs"][0]["flow"]["moves"] == 2)
        await first.hears(TONE)
        assert (await house.first_leg())["flow"]["transport"] == "wss"
        await first.hang_up()
        await telephone.done()


async def test_provisioned(house: House, tmp_path: Path) -> None:
    server = house.server
    first, second = [await house.page(name) for name in ("jssip1", "jssip2")]
    # 1. nothing is typed
    await house.provisioned(first, "jssip1")
    await house.provisioned(second, "jssip2")
    # 2. they talk and see each other
    await talk(first, second)
    async with Carrier(tmp_path, f"127.0.0.1:{server.sip.rpartition(':')[2]}") as carrier:
        await make_trunk(server, targets=[{"uri": f"sip:{ADDRESS}:{carrier.port}"}])
        await make_number(server, OURS, "jssip1")
        # 3. an imported number rings
        await rung_by_a_number(server, carrier, first)
        # 4. out through the trunk; a page that was loaded anew takes its call back
        telephone = await carrier.telephone()
        await first.call(NUMBER)
        await first.expect("confirmed")
        ref = (await server.calls())[0]["call_ref"]
        await first.close()
        await server.until(ref, lambda call: call["legs"][0]["flow"]["state"] == "detached")
        again = await house.page("again")
        await house.provisioned(again, "jssip1")
        await again.call("resume")
        await again.expect("confirmed")
        await again.hears(TONE)
        assert [call["call_ref"] for call in await server.calls()] == [ref]
        await again.hang_up()
        await telephone.done()
