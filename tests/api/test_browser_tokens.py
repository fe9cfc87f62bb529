"""Browser tokens of four tiers, and widgets, over the real store (API.md 4.3). Calls: interop/test_provisioning.py."""

import time
from typing import Any

import httpx
import pytest

from tests.support.platform import House

FABRIC = "/api/fabric"
MEMBERS, GUESTS, EMBEDS = f"{FABRIC}/subscribers/tokens", f"{FABRIC}/guests/tokens", f"{FABRIC}/embeds/tokens"
INVITES, ADDRESSES, WIDGETS = f"{FABRIC}/subscriber/invites", f"{FABRIC}/addresses", "/api/offhook/widgets"
PAGE = "https://shop.example"


def faults(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(one["attribute"], one["code"]) for one in answer.json()["errors"]]


def by(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def addresses(client: httpx.AsyncClient) -> dict[str, str]:
    """Ids of the addresses of bob and carol, by name."""
    for name in ("bob", "carol"):
        body = {"username": name, "password": "a long enough secret"}
        assert (await client.post("/api/relay/rest/endpoints/sip", json=body)).status_code == 201
    return {one["name"]: one["id"] for one in (await client.get(ADDRESSES)).json()["data"]}


async def post(client: httpx.AsyncClient, path: str, status: int, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return dict(answer.json())


async def test_a_reference_makes_a_subscriber_with_an_endpoint_and_finds_it_again(
    client: httpx.AsyncClient, house: House
) -> None:
    first = await post(client, MEMBERS, 200, {"reference": "crew/7", "first_name": "Ann", "time_zone": "UTC"})
    again = await post(client, MEMBERS, 200, {"reference": "crew/7"})
    by_id = await post(client, MEMBERS, 200, {"reference": first["subscriber_id"]})
    assert first["subscriber_id"] == again["subscriber_id"] == by_id["subscriber_id"]
    claims = house.tokens.read(first["token"])
    assert claims is not None
    assert (claims.subject, claims.tier) == ("ann", "member"), "1. it registers as an endpoint of the subscriber"
    endpoint = house.endpoints.named("ann")
    assert endpoint is not None
    assert endpoint.subscriber_id == first["subscriber_id"]
    row = house.resources.get(first["subscriber_id"])
    assert row is not None
    assert (row.settings["first_name"], row.settings["timezone"]) == ("Ann", "UTC")
    mail = await post(client, MEMBERS, 200, {"reference": "Zoe@example.com"})
    same = await post(client, MEMBERS, 200, {"reference": "zoe@example.com"})
    assert mail["subscriber_id"] == same["subscriber_id"], "2. e-mails without regard to case"


async def test_a_refresh_token_is_spent_once_and_is_no_token(client: httpx.AsyncClient, house: House) -> None:
    made = int(time.time())
    first = await post(client, MEMBERS, 200, {"reference": "ann", "expire_at": made + 100})
    second = await post(client, f"{MEMBERS}/refresh", 201, {"refresh_token": first["refresh_token"]})
    claims = house.tokens.read(second["token"])
    assert claims is not None
    assert made + 100 <= claims.expires_at <= time.time() + 101, "1. as long as the old one"
    for wrong in (first["refresh_token"], second["token"], "x", 7):
        spent = await client.post(f"{MEMBERS}/refresh", json={"refresh_token": wrong})
        assert faults(spent) == [("refresh_token", "not_a_refresh_token")]
    # 2. nobody calls or asks with a refresh token
    answer = await client.get(ADDRESSES, auth=None, headers=by(second["refresh_token"]))
    assert (answer.status_code, answer.json()["code"]) == (401, "token_other_space")


async def test_times_of_tokens(client: httpx.AsyncClient, house: House) -> None:
    now = int(time.time())
    for at in (now - 1, now + 31 * 86_400, "soon", True):
        answer = await client.post(MEMBERS, json={"reference": "ann", "expire_at": at})
        assert faults(answer) == [("expire_at", "invalid_parameter")]
    short = await post(client, MEMBERS, 200, {"reference": "ann", "scope": "sat:refresh"})
    claims = house.tokens.read(short["token"])
    assert claims is not None
    assert claims.expires_at <= time.time() + 60, "1. sat:refresh without a fingerprint"
    full = await post(client, MEMBERS, 200, {"reference": "ann", "scope": "sat:refresh", "fingerprint": "f" * 43})
    claims = house.tokens.read(full["token"])
    assert claims is not None
    assert claims.expires_at > time.time() + 7000
    wrong = await client.post(MEMBERS, json={"fingerprint": "short", "scope": "all", "password": "x"})
    assert [one for one, _ in faults(wrong)] == ["reference", "scope", "fingerprint", "password"]


async def test_each_tier_sees_what_it_may_call(client: httpx.AsyncClient, addresses: dict[str, str]) -> None:
    member = (await post(client, MEMBERS, 200, {"reference": "ann"}))["token"]
    guest = (await post(client, GUESTS, 201, {"allowed_addresses": [addresses["bob"]]}))["token"]
    invited = await client.post(INVITES, json={"address_id": addresses["carol"]}, auth=None, headers=by(member))
    assert invited.status_code == 201, invited.text
    for token, names in (
        (member, {"ann", "ann-2", "bob", "carol"}),
        (guest, {"bob"}),
        (invited.json()["token"], {"carol"}),
    ):
        listed = (await client.get(ADDRESSES, auth=None, headers=by(token))).json()["data"]
        assert {one["name"] for one in listed} == names
    assert (await client.get(f"{ADDRESSES}/{addresses['bob']}", auth=None, headers=by(guest))).status_code == 200
    assert (await client.get(f"{ADDRESSES}/{addresses['carol']}", auth=None, headers=by(guest))).status_code == 404
    # 1. a guest invites nobody, and opens nothing else
    refused = await client.post(INVITES, json={"address_id": addresses["bob"]}, auth=None, headers=by(guest))
    assert (refused.status_code, refused.json()["code"]) == (403, "token_tier_not_allowed")
    assert (await client.get("/api/fabric/resources", auth=None, headers=by(member))).status_code == 401


async def test_a_guest_is_given_addresses_of_the_project_alone(
    client: httpx.AsyncClient, addresses: dict[str, str]
) -> None:
    for wrong, code in (
        ([], "missing_required_parameter"),
        (["none"], "must_belong_to_project"),
        ([addresses["bob"]] * 11, "invalid_parameter"),
        ("bob", "invalid_parameter"),
    ):
        assert faults(await client.post(GUESTS, json={"allowed_addresses": wrong})) == [("allowed_addresses", code)]
    answer = await client.post(INVITES, json={"address_id": "none"})
    assert faults(answer) == [("address_id", "must_belong_to_project")]


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
async def test_a_token_of_nobody_is_401_and_counted(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.get(ADDRESSES, auth=None, headers=by(token))
    assert answer.status_code == 401
    assert 'Bearer error="invalid_token"' in answer.headers["www-authenticate"]
    for _ in range(19):
        await client.get(ADDRESSES, auth=None, headers=by(token))
    assert (await client.get(ADDRESSES, auth=None, headers=by(token))).status_code == 429


async def test_a_deleted_endpoint_ends_its_token(client: httpx.AsyncClient) -> None:
    made = await post(client, MEMBERS, 200, {"reference": "ann"})
    await client.delete(f"/api/fabric/resources/subscribers/{made['subscriber_id']}")
    answer = await client.get(ADDRESSES, auth=None, headers=by(made["token"]))
    assert (answer.status_code, answer.json()["code"]) == (401, "credentials_wrong")
    spent = await client.post(f"{MEMBERS}/refresh", json={"refresh_token": made["refresh_token"]})
    assert faults(spent) == [("refresh_token", "not_a_refresh_token")]


async def test_a_widget_from_first_to_last(client: httpx.AsyncClient, house: House, addresses: dict[str, str]) -> None:
    body = {"name": "Shop", "address_id": addresses["bob"], "origins": [PAGE]}
    answer = await client.post(WIDGETS, json=body)
    assert answer.status_code == 201, answer.text
    widget = answer.json()
    assert widget["key"].startswith("c2c_")
    assert widget["max_calls"] == 2
    # 1. its pages may ask for a token and connect, others may not
    given = await client.post(EMBEDS, json={"token": widget["key"]}, headers={"Origin": PAGE}, auth=None)
    assert given.status_code == 201, given.text
    assert given.headers["access-control-allow-origin"] in ("*", PAGE)
    assert PAGE in house.profiles.origins
    foreign = await client.post(EMBEDS, json={"token": widget["key"]}, headers={"Origin": "https://evil.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "origin_not_allowed")
    # 2. the token is for that page and that address
    headers = by(given.json()["token"])
    seen = await client.get(ADDRESSES, auth=None, headers=headers | {"Origin": PAGE})
    assert [one["name"] for one in seen.json()["data"]] == ["bob"]
    assert seen.headers["access-control-allow-origin"] == PAGE
    assert (await client.get(ADDRESSES, auth=None, headers=headers)).json()["code"] == "token_other_space"
    # 3. another address ends its tokens, and it is no resource that is called
    changed = await client.patch(f"{WIDGETS}/{widget['id']}", json={"address_id": addresses["carol"], "max_calls": 5})
    assert (changed.json()["max_calls"], changed.json()["key"]) == (5, widget["key"])
    assert (await client.get(ADDRESSES, auth=None, headers=headers | {"Origin": PAGE})).status_code == 401
    assert (await client.get(f"/api/fabric/resources/{widget['id']}")).status_code == 404
    assert house.addresses.of(widget["id"]) is None
    assert (await client.delete(f"{WIDGETS}/{widget['id']}")).status_code == 204
    assert PAGE not in house.profiles.origins
    assert faults(await client.post(EMBEDS, json={"token": widget["key"]})) == [("token", "does_not_exist")]


async def test_faults_of_widgets(client: httpx.AsyncClient) -> None:
    wrong = {"address_id": "x", "origins": ["shop"], "max_calls": 0, "colour": "red"}
    assert faults(await client.post(WIDGETS, json=wrong)) == [
        ("colour", "unknown_parameter"),
        ("name", "missing_required_parameter"),
        ("address_id", "must_belong_to_project"),
        ("origins", "list_contains_invalid_entries"),
        ("max_calls", "invalid_parameter"),
    ]
