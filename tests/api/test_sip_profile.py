"""`/api/relay/rest/sip_profile` (API.md section 3): its fields, and that endpoints, calls and listeners obey them."""

from typing import Any

import httpx
import pytest

from offhook.server.profiles import Profiles
from tests.support.platform import House

PATH, ENDPOINTS = "/api/relay/rest/sip_profile", "/api/relay/rest/endpoints/sip"
GOOD = "a long enough secret"


async def put(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.put(PATH, json=fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_what_a_fresh_project_has(client: httpx.AsyncClient) -> None:
    answer = await client.get(PATH)
    assert answer.status_code == 200
    profile = answer.json()
    assert (profile["domain"], profile["default_encryption"], profile["default_send_as"]) == (
        "offhook.test", "optional", None,
    )  # fmt: skip
    assert profile["default_codecs"] == ["OPUS", "G722", "PCMU", "PCMA", "VP8", "H264"]
    assert profile["offhook"] == {
        "outbound_policy": "passthrough", "pstn_enabled": True, "external_sip": "all", "aliases": [], "origins": [],
        "country": "US", "realm": "offhook.test", "websocket_urls": [],
    }  # fmt: skip


async def test_put_and_patch_change_what_is_given(client: httpx.AsyncClient) -> None:
    await put(client, default_encryption="required", offhook={"pstn_enabled": False})
    answer = await client.patch(PATH, json={"default_codecs": ["pcmu", "opus@16000h@20i"], "colour": 1})
    assert (answer.status_code, answer.headers["x-offhook-ignored"]) == (201, "colour")
    changed = answer.json()
    assert changed["default_codecs"] == ["PCMU", "OPUS@16000H@20I"]
    assert (changed["default_encryption"], changed["offhook"]["pstn_enabled"]) == ("required", False)


async def test_without_a_suffix_the_identifier_has_no_effect(client: httpx.AsyncClient, house: House) -> None:
    answer = await client.put(PATH, json={"domain_identifier": "acme"})
    assert answer.headers["x-offhook-ignored"] == "domain_identifier"
    assert (answer.json()["domain_identifier"], answer.json()["domain"]) == ("acme", "offhook.test")
    made = (await client.post("/api/projects", json={"name": "Sub"})).json()
    token = (
        await client.post(
            "/api/project/tokens", json={"name": "t", "permissions": ["calling"], "subproject_id": made["id"]}
        )
    ).json()["token"]
    taken = await client.put(PATH, json={"domain_identifier": "acme"}, auth=(made["id"], token))
    assert [one["code"] for one in taken.json()["errors"]] == ["value_not_unique"]
    # With one, the project is reached there.
    house.applications = ()  # type: ignore[attr-defined]
    profiles = Profiles(house, (), (), "pbx.example")  # type: ignore[arg-type]
    assert profiles.domain(house.space.project_id) == "acme.pbx.example"
    assert "acme.pbx.example" in profiles.hosts


@pytest.mark.parametrize(
    ("body", "attribute", "code"),
    [
        ({"domain_identifier": "Two Words"}, "domain_identifier", "invalid_parameter"),
        ({"domain_identifier": "a" * 64}, "domain_identifier", "invalid_parameter"),
        ({"default_codecs": []}, "default_codecs", "invalid_parameter"),
        ({"default_codecs": ["MP3"]}, "default_codecs", "list_contains_invalid_entries"),
        ({"default_codecs": [["OPUS"]]}, "default_codecs", "invalid_parameter"),
        ({"default_ciphers": ["ROT13"]}, "default_ciphers", "list_contains_invalid_entries"),
        ({"default_encryption": "default"}, "default_encryption", "invalid_parameter_value"),
        ({"default_send_as": "123"}, "default_send_as", "invalid_number_format"),
        ({"default_send_as": "+15125550199"}, "default_send_as", "not_purchased_or_verified"),
        ({"offhook": []}, "offhook", "invalid_parameter"),
        ({"offhook": {"outbound_policy": "all"}}, "offhook.outbound_policy", "invalid_parameter_value"),
        ({"offhook": {"pstn_enabled": 1}}, "offhook.pstn_enabled", "invalid_parameter"),
        ({"offhook": {"external_sip": {}}}, "offhook.external_sip", "invalid_parameter_value"),
        ({"offhook": {"aliases": ["a b"]}}, "offhook.aliases", "list_contains_invalid_entries"),
        ({"offhook": {"aliases": ["x"] * 51}}, "offhook.aliases", "invalid_parameter"),
        ({"offhook": {"origins": ["app.example.com"]}}, "offhook.origins", "list_contains_invalid_entries"),
        ({"offhook": {"country": "us"}}, "offhook.country", "invalid_parameter"),
    ],
)
async def test_rules(client: httpx.AsyncClient, body: dict[str, Any], attribute: str, code: str) -> None:
    answer = await client.put(PATH, json=body)
    assert answer.status_code == 422
    assert {(one["attribute"], one["code"]) for one in answer.json()["errors"]} >= {(attribute, code)}


async def test_endpoints_have_what_the_profile_says(client: httpx.AsyncClient, house: House) -> None:
    await client.post(ENDPOINTS, json={"username": "carol", "password": GOOD})
    before = house.endpoints.account("carol", house.realm)
    assert before is not None
    assert before.encryption == "optional"
    await put(
        client, default_codecs=["PCMA"], default_ciphers=["AES_CM_128_HMAC_SHA1_32"], default_encryption="required"
    )
    after = house.endpoints.account("carol", house.realm)
    assert after is not None
    assert (after.codecs, after.ciphers, after.encryption) == (("PCMA",), ("AES_CM_128_HMAC_SHA1_32",), "required")
    shown = (await client.get(ENDPOINTS)).json()["data"][0]
    assert (shown["codecs"], shown["ciphers"], shown["encryption"]) == (
        ["PCMA"], ["AES_CM_128_HMAC_SHA1_32"], "default",
    )  # fmt: skip
    # Its own list wins.
    await client.put(f"{ENDPOINTS}/{shown['id']}", json={"codecs": ["OPUS"]})
    own = house.endpoints.account("carol", house.realm)
    assert own is not None
    assert (own.codecs, own.encryption) == (("OPUS",), "required")


async def test_calls_to_the_outside_obey(client: httpx.AsyncClient, house: House) -> None:
    await client.post(ENDPOINTS, json={"username": "carol", "password": GOOD})
    assert not house.profiles.permits("nobody").numbers
    fresh = house.profiles.permits("CAROL")
    assert (fresh.numbers, fresh.pstn_enabled, fresh.external_sip) == (True, True, "all")
    await put(client, offhook={"outbound_policy": "block-pstn", "pstn_enabled": False, "external_sip": "api_only"})
    held = house.profiles.permits("carol")
    assert (held.numbers, held.pstn_enabled, held.external_sip) == (False, False, "api_only")
    row = house.endpoints.named("carol")
    assert row is not None
    await house.endpoints.change(row.id, handler={"policy": "passthrough"})
    own = house.profiles.permits("carol")
    assert (own.numbers, own.pstn_enabled) == (True, False)


async def test_hosts_and_origins_change_in_place(client: httpx.AsyncClient, house: House) -> None:
    hosts, origins = house.profiles.hosts, house.profiles.origins
    await put(client, offhook={"aliases": ["PBX.example.com", "192.0.2.7"], "origins": ["https://app.example.com"]})
    assert hosts == {"offhook.test", "pbx.example.com", "192.0.2.7"}
    assert origins == {"https://settings.example", "https://app.example.com"}
    await put(client, offhook={"aliases": [], "origins": []})
    assert (hosts, origins) == ({"offhook.test"}, {"https://settings.example"})
    assert hosts is house.profiles.hosts


async def test_a_subproject_does_not_choose_hosts_for_everybody(client: httpx.AsyncClient) -> None:
    made = (await client.post("/api/projects", json={"name": "Sub"})).json()
    body = {"name": "t", "permissions": ["calling"], "subproject_id": made["id"]}
    auth = (made["id"], (await client.post("/api/project/tokens", json=body)).json()["token"])
    refused = await client.put(PATH, json={"offhook": {"aliases": ["carrier.example"], "country": "DE"}}, auth=auth)
    assert [one["attribute"] for one in refused.json()["errors"]] == ["offhook.aliases", "offhook.country"]
    mine = await client.put(
        PATH, json={"offhook": {"origins": ["https://sub.example"], "pstn_enabled": False}}, auth=auth
    )
    assert mine.status_code == 201
    assert (await client.get(PATH)).json()["offhook"]["pstn_enabled"] is True
