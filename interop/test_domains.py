"""Projects with domains of their own on a real server (API.md section 3): unmodified JsSIP, one user name in two of them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from interop.conftest import ServerMaker
from interop.support.browser import Browser, Page
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from tests.support.patience import PATIENCE

SUFFIX = "pbx.offhook.test"
GOOD = "a long enough secret"


class Project:
    """A subproject with its own token."""

    def __init__(self, server: Offhook, id_: str, token: str, domain: str) -> None:
        self.server, self.domain = server, domain
        self.http = httpx.AsyncClient(
            base_url=server.running["http_url"], auth=(id_, token), timeout=PATIENCE, trust_env=False
        )

    async def add(self, username: str) -> None:
        body = {"username": username, "password": GOOD}
        answer = await self.http.post("/api/relay/rest/endpoints/sip", json=body)
        assert answer.status_code == 201, answer.text

    async def provision(self, username: str) -> dict[str, Any]:
        answer = await self.http.post("/api/offhook/provision", json={"endpoint": username})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


async def project(server: Offhook, name: str) -> Project:
    made = (await server.http.post("/api/projects", json={"name": name})).json()
    wanted = {"name": "t", "permissions": ["calling", "monitor"], "subproject_id": made["id"]}
    token = (await server.http.post("/api/project/tokens", json=wanted)).json()["token"]
    return Project(server, made["id"], token, f"{name}.{SUFFIX}")


@pytest.fixture
async def several(serve: ServerMaker) -> AsyncIterator[Offhook]:
    async with serve(OFFHOOK_SIP_DOMAIN_SUFFIX=SUFFIX) as server:
        yield server


async def started(browser: Browser, server: Offhook, name: str, given: dict[str, Any]) -> Page:
    """A page that runs `new JsSIP.UA({sockets, ...answer.jssip})`."""
    page = await browser.open(name, server.http_url)
    jssip = dict(given["jssip"])
    uri, password = jssip.pop("uri"), jssip.pop("password")
    await page.start(given["sip"]["websocket_urls"][0], uri, password, **jssip)
    await page.expect("registered")
    return page


async def test_two_projects_with_a_bob(several: Offhook, tmp_path: Path) -> None:
    server = several
    acme, hooli = await project(server, "acme"), await project(server, "hooli")
    for one in (acme, hooli):
        await one.add("bob")
    await acme.add("alice")
    async with Browser("chromium", tmp_path) as browser:
        # By a password typed by hand, and by what the API gives a page.
        alice = await browser.open("alice", server.http_url)
        await alice.start(server.websocket_url, f"sip:alice@{acme.domain}", GOOD)
        await alice.expect("registered")
        given = await acme.provision("bob")
        assert (given["sip"]["domain"], given["jssip"]["realm"]) == (acme.domain, acme.domain)
        bob = await started(browser, server, "acme-bob", given)
        theirs = await started(browser, server, "hooli-bob", await hooli.provision("bob"))
        for one, users in ((acme, {"alice", "bob"}), (hooli, {"bob"})):
            rows = (await one.http.get("/api/offhook/registrations")).json()["data"]
            assert {row["username"] for row in rows} == users, "1. each project sees its own registrations"
            assert {row["aor"].rpartition("@")[2] for row in rows} == {one.domain}

        await alice.call(f"sip:bob@{acme.domain}")
        await bob.expect("incoming")
        await bob.answer()
        await alice.expect("confirmed")
        calls = (await acme.http.get("/api/offhook/calls")).json()["data"]
        assert [(one["from"], one["to"]) for one in calls] == [("alice", "bob")], "2. a name is the one of the domain"
        assert (await hooli.http.get("/api/offhook/calls")).json()["data"] == [], "3. and nobody else's call"
        await alice.hang_up()
        await bob.expect("ended")
        await alice.expect("ended")

        await alice.call(f"sip:bob@{hooli.domain}")
        await theirs.expect("incoming")
        await theirs.answer()
        await alice.expect("confirmed")
        await theirs.receives()  # 4. a full URI reaches the other project, and they talk
        await alice.hang_up()
        await theirs.expect("ended")

    for one in (acme, hooli):
        await one.http.aclose()


async def test_phones_of_two_projects_over_udp(several: Offhook) -> None:
    server = several
    acme, hooli = await project(server, "acme"), await project(server, "hooli")
    phones = []
    for one in (acme, hooli):
        await one.add("bob")
        phones.append(PlainPhone("bob", GOOD, one.domain, server.sip))
    for phone in phones:
        await phone.register()
        await phone.call("echo")
    stranger = PlainPhone("bob", GOOD, server.domain, server.sip)
    assert (await stranger.refused("echo")).startswith("SIP/2.0 407"), "the first start's bob has another password"
    for phone in (*phones, stranger):
        phone.close()
    for one in (acme, hooli):
        logs = (await one.http.get("/api/offhook/calls")).json()["data"]
        assert [call["to"] for call in logs] == ["echo"]
        await one.http.aclose()


async def test_what_strangers_call_is_a_host_of_its_own(several: Offhook) -> None:
    """Endpoints, the profile and what strangers call each name their own host under the suffix, and the URI that is shown
    can be dialled as it stands, with a user part of its own and without."""
    acme = await project(several, "acme")
    await acme.add("bob")
    endpoint = (await acme.http.get("/api/relay/rest/endpoints/sip")).json()["data"][0]
    profile = (await acme.http.get("/api/relay/rest/sip_profile")).json()
    shown = [endpoint["offhook"]["aor"], profile["domain"]]
    for name, user, handled in (("desk", "front", endpoint["id"]), ("any", "*", endpoint["id"])):
        body = {"name": name, "user": user, "calling_handler_resource_id": handled}
        made = await acme.http.post("/api/fabric/sip_addresses", json=body)
        assert made.status_code == 201, made.text
        shown.append(made.json()["uri"])
    assert shown == [f"sip:bob@acme.{SUFFIX}", f"acme.{SUFFIX}", f"sip:front@desk.{SUFFIX}", f"sip:any@any.{SUFFIX}"]
    for uri in shown[2:]:
        stranger = PlainPhone("somebody", "none", "foreign.example", several.sip)
        # It leads to bob, who is not there; nobody is asked for a password.
        assert "not-registered" in await stranger.told(uri)
        stranger.close()
    await acme.http.aclose()
