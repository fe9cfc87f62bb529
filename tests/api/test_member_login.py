"""A subscriber's password signs in to the web phone (API.md 4.1, 11), and tells a stranger nothing."""

import asyncio
import hashlib
from typing import Any

import httpx
import pytest

from offhook.api.routes.member_login import AT_ONCE
from tests.support.platform import House

PATH, SUBSCRIBERS = "/api/offhook/subscribers/login", "/api/fabric/resources/subscribers"
GOOD = "correct horse"


@pytest.fixture
async def ann(client: httpx.AsyncClient) -> None:
    """A subscriber with a password, and one without."""
    for body in ({"email": "Ann@example.com", "password": GOOD}, {"email": "ben@example.com"}):
        assert (await client.post(SUBSCRIBERS, json=body)).status_code == 201


async def sign_in(client: httpx.AsyncClient, url: str = PATH, **body: Any) -> httpx.Response:
    bare = httpx.AsyncClient(transport=client._transport, base_url="http://offhook.test")
    return await bare.post(url, json=body)


async def test_a_password_gives_credentials_for_a_page(client: httpx.AsyncClient, house: House, ann: None) -> None:
    answer = await sign_in(client, email="ann@EXAMPLE.com", password=GOOD)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers, "1. no cookie: nothing for another site's page to use"
    given = answer.json()
    assert given["jssip"]["instance_id"]
    claims = house.tokens.read(given["token"]["value"])
    assert claims is not None
    endpoint = house.endpoints.named(claims.subject)
    assert endpoint is not None, "2. for an endpoint of the subscriber, which is made when there is none"
    assert endpoint.subscriber_id is not None
    again = await sign_in(client, email="ann@example.com", password=GOOD, ttl=600)
    assert (again.json()["sip"]["uri"], again.json()["jssip"]["ttl"]) == (endpoint.name, 600), "3. always the same one"


@pytest.mark.parametrize(
    "body",
    [
        {"email": "ann@example.com", "password": "wrong horse"},
        {"email": "nobody@example.com", "password": GOOD},
        {"email": "ben@example.com", "password": GOOD},
        {"email": "ann@example.com", "password": GOOD, "project": "01990000-0000-7000-8000-000000000000"},
    ],
    ids=["password", "e-mail", "without a password", "project"],
)
async def test_whatever_is_wrong_is_answered_alike_and_costs_the_same(
    client: httpx.AsyncClient, ann: None, monkeypatch: pytest.MonkeyPatch, body: dict[str, str]
) -> None:
    work: list[int] = []
    real = hashlib.scrypt

    def counted(password: bytes, **how: Any) -> bytes:
        work.append(how["n"] * how["r"] * how["p"])
        return real(password, **how)

    monkeypatch.setattr(hashlib, "scrypt", counted)
    answer = await sign_in(client, **body)
    assert (answer.status_code, answer.json()["code"]) == (401, "credentials_wrong")
    assert answer.json()["message"] == "No subscriber has this e-mail and password", "1. the same words"
    assert work == [2**14 * 8], "2. the same work"


async def test_guesses_are_counted_by_source(client: httpx.AsyncClient, ann: None) -> None:
    statuses = [(await sign_in(client, email="ann@example.com", password=f"guess {n}")).status_code for n in range(20)]
    assert set(statuses) == {401}
    late = await sign_in(client, email="ann@example.com", password=GOOD)
    assert (late.status_code, late.json()["code"]) == (429, "rate_limit_exceeded"), "1. also for the right one"
    assert int(late.headers["retry-after"]) > 0


async def test_guesses_at_once_are_counted_too(client: httpx.AsyncClient, ann: None) -> None:
    guesses = [sign_in(client, email="ann@example.com", password=f"guess {at}") for at in range(60)]
    statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]
    # Those that are being tried when the last one fails are judged.
    assert 20 <= statuses.count(401) <= 20 + AT_ONCE - 1
    assert statuses.count(429) == 60 - statuses.count(401)


async def test_only_json_is_taken(client: httpx.AsyncClient, ann: None) -> None:
    """Another site's form cannot send it."""
    bare = httpx.AsyncClient(transport=client._transport, base_url="http://offhook.test")
    form = await bare.post(PATH, data={"email": "ann@example.com", "password": GOOD})
    assert form.status_code == 415


async def test_two_projects_may_have_one_e_mail(client: httpx.AsyncClient, house: House, ann: None) -> None:
    other = (await client.post("/api/projects", json={"name": "Other"})).json()
    made = await house.resources.create(other["id"], "subscriber", "Ann", {"email": "ann@example.com"})
    assert made is not None
    unclear = await sign_in(client, email="ann@example.com", password=GOOD)
    assert unclear.status_code == 401, "1. the project has to be named"
    mine = await sign_in(client, email="ann@example.com", password=GOOD, project=house.space.project_id)
    assert mine.status_code == 200, "2. and then it is clear"
    house.under("pbx.example")
    label = house.profiles.made_for("Other")
    row = house.projects.get(other["id"])
    assert row is not None
    await house.projects.change(row.id, profile=label)
    await house.profile_changed(row.id)
    assert (await sign_in(client, email="ann@example.com", password=GOOD)).status_code == 200, (
        "3. a host is one project's"
    )
    theirs = await sign_in(client, f"http://other.pbx.example{PATH}", email="ann@example.com", password=GOOD)
    assert theirs.status_code == 401


@pytest.mark.parametrize(
    ("body", "attribute"),
    [
        ({"password": GOOD}, "email"),
        ({"email": "ann@example.com"}, "password"),
        ({"email": ["x"], "password": GOOD}, "email"),
        ({"email": "ann@example.com", "password": GOOD, "ttl": 5}, "ttl"),
        ({"email": "ann@example.com", "password": GOOD, "device": {"instance_id": "x"}}, "device"),
        ({"email": "ann@example.com", "password": GOOD, "project": 1}, "project"),
        ({"email": "ann@example.com", "password": GOOD, "colour": "red"}, "colour"),
    ],
)
async def test_faults(client: httpx.AsyncClient, body: dict[str, Any], attribute: str) -> None:
    answer = await sign_in(client, **body)
    assert answer.status_code == 422, answer.text
    assert attribute in {one["attribute"] for one in answer.json()["errors"]}
