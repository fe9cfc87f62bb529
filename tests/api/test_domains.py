"""Projects with a domain of their own (API.md section 3): label, realm, names, aliases, country, over the API."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from offhook.api.trunk_fields import trunk_fields
from offhook.server.profiles import Profiles
from offhook.sip.digest import both_ha1
from tests.support.platform import House

PROFILE, ENDPOINTS = "/api/relay/rest/sip_profile", "/api/relay/rest/endpoints/sip"
GOOD = "a long enough secret"


@pytest.fixture
async def suffixed(tmp_path: Path) -> AsyncIterator[House]:
    """A server with wildcard DNS."""
    house: House = await House.opened(tmp_path)
    house.under("pbx.example", ".acme.example")
    yield house
    await house.engine.dispose()


async def subproject(client: httpx.AsyncClient, name: str) -> tuple[str, str]:
    """Credentials of a new project."""
    made = (await client.post("/api/projects", json={"name": name})).json()
    body = {"name": "t", "permissions": ["calling"], "subproject_id": made["id"]}
    return made["id"], (await client.post("/api/project/tokens", json=body)).json()["token"]


async def make(client: httpx.AsyncClient, auth: tuple[str, str], username: str) -> dict[str, Any]:
    answer = await client.post(ENDPOINTS, json={"username": username, "password": GOOD}, auth=auth)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_two_projects_may_have_a_bob(suffixed: House) -> None:
    async with suffixed.client() as client:
        acme, hooli = await subproject(client, "Acme Inc."), await subproject(client, "Hooli")
        profile = (await client.get(PROFILE, auth=acme)).json()
        assert (profile["domain"], profile["domain_identifier"]) == ("acme-inc.pbx.example", "acme-inc"), (
            "1. made with it"
        )
        assert profile["offhook"]["realm"] == "acme-inc.pbx.example"
        root = (suffixed.space.project_id, suffixed.text)
        made = [await make(client, auth, "bob") for auth in (acme, hooli, root)]
        assert [one["offhook"]["aor"] for one in made] == [
            "sip:bob@acme-inc.pbx.example", "sip:bob@hooli.pbx.example", "sip:bob@offhook.test",
        ], "2. three addresses of record"  # fmt: skip
        again = await client.post(ENDPOINTS, json={"username": "BOB", "password": GOOD}, auth=acme)
        assert again.json()["errors"][0]["code"] == "not_unique_within_project", "3. one in each"
        row = suffixed.endpoints.named("bob@acme-inc.pbx.example")
        assert row is not None
        assert row.ha1_md5 == both_ha1("bob", "acme-inc.pbx.example", GOOD)[0], "4. HA1 over the domain's realm"


async def test_the_realm_stays_when_the_label_changes(suffixed: House) -> None:
    async with suffixed.client() as client:
        acme = await subproject(client, "Acme")
        await make(client, acme, "bob")
        changed = await client.put(PROFILE, json={"domain_identifier": "acme-2"}, auth=acme)
        assert "x-offhook-ignored" not in changed.headers
        assert changed.json()["domain"] == "acme-2.pbx.example"
        assert changed.json()["offhook"]["realm"] == "acme.pbx.example", "1. HA1 values are over it"
        row = suffixed.endpoints.named("bob@acme-2.pbx.example")
        assert row is not None, "2. the endpoint moved"
        assert suffixed.endpoints.named("bob@acme.pbx.example") is None
        account = suffixed.endpoints.account("bob@acme-2.pbx.example", suffixed.realm)
        assert account is not None
        assert account.realm == "acme.pbx.example", "3. and proves itself with the old password"
        third = await subproject(client, "Acme 2")
        assert (await client.get(PROFILE, auth=third)).json()["domain_identifier"] == "acme-2-2", "4. no label twice"


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("offhook.test", "value_not_unique"),
        ("hooli.pbx.example", "value_not_unique"),
        ("pbx.example", "value_not_unique"),
        ("carrier.example", "invalid_parameter"),
        ("sales.acme.pbx.example", None),
        ("PBX.acme.example", None),
    ],
)
async def test_aliases_that_a_project_may_take(suffixed: House, host: str, code: str | None) -> None:
    async with suffixed.client() as client:
        acme, _ = await subproject(client, "Acme"), await subproject(client, "Hooli")
        answer = await client.put(PROFILE, json={"offhook": {"aliases": [host]}}, auth=acme)
        if code is not None:
            assert [(one["attribute"], one["code"]) for one in answer.json()["errors"]] == [("offhook.aliases", code)]
            return
        assert answer.status_code == 201, answer.text
        assert suffixed.profiles.domains.of(host.lower()) == "acme.pbx.example"
        assert host.lower() in suffixed.profiles.hosts


async def test_a_country_of_its_own(suffixed: House) -> None:
    async with suffixed.client() as client:
        acme = await subproject(client, "Acme")
        assert (await client.get(PROFILE, auth=acme)).json()["offhook"]["country"] == "US", "1. the server's"
        changed = await client.put(PROFILE, json={"offhook": {"country": "DE"}}, auth=acme)
        assert changed.json()["offhook"]["country"] == "DE", "2. its own"
        assert suffixed.profiles.domains.country("acme.pbx.example") == "DE"
        assert (await client.get(PROFILE)).json()["offhook"]["country"] == "US", "3. nobody else's"


async def test_trunks_write_numbers_by_their_project_s_country(suffixed: House) -> None:
    async with suffixed.client() as client:
        acme = await subproject(client, "Acme")
        await client.put(PROFILE, json={"offhook": {"country": "DE"}}, auth=acme)
        for project, given, country in (
            (acme[0], None, "DE"),
            (acme[0], "FR", "FR"),
            (suffixed.space.project_id, None, ""),
        ):
            fields = {"name": "t", "targets": [{"uri": "sip:carrier.example"}], "numbers": {"country_code": given}}
            settings, faults = trunk_fields(fields)
            assert not faults
            row: Any = SimpleNamespace(
                id="t", project_id=project, settings=settings, password=None, digest_password=None
            )
            assert suffixed.profiles.trunk(row).numbers.country == country


def test_a_setting_lets_trunks_name_private_addresses(suffixed: House) -> None:
    settings, faults = trunk_fields({"name": "t", "targets": [{"uri": "sip:carrier.example"}]})
    assert not faults
    row: Any = SimpleNamespace(
        id="t", project_id=suffixed.space.project_id, settings=settings, password=None, digest_password=None
    )
    assert not suffixed.profiles.trunk(row).private_media, "1. off as it comes (MEDIA.md section 9, rule 6)"
    lenient = Profiles(suffixed, (), (), "", private_media=True)  # type: ignore[arg-type]
    assert lenient.trunk(row).private_media, "2. on for all"


@pytest.mark.parametrize("body", [{"default_send_as": {"": None}}, {"domain_identifier": [0]}])
async def test_a_profile_with_an_object_for_a_text_is_refused(suffixed: House, body: dict[str, Any]) -> None:
    async with suffixed.client() as client:
        answer = await client.put(PROFILE, json=body)
        assert answer.status_code == 422
        assert [one["attribute"] for one in answer.json()["errors"]] == list(body)
