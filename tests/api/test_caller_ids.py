"""Verified caller ids, look-ups, short codes (API.md 5.4)."""

from datetime import UTC, datetime, timedelta

import httpx

from tests.support.platform import House

PATH = "/api/relay/rest/verified_caller_ids"
NUMBER = "+15125559999"


def codes(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [one["code"] for one in answer.json()["errors"]]


async def made(client: httpx.AsyncClient) -> str:
    answer = await client.post(PATH, json={"number": NUMBER, "name": "Mobile", "extension": "101"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_caller_id_from_first_to_last(client: httpx.AsyncClient) -> None:
    id_ = await made(client)
    row = (await client.get(f"{PATH}/{id_}")).json()
    assert row == {
        "type": "verified_caller_id", "id": id_, "number": NUMBER, "name": "Mobile", "extension": "101",
        "verified": False, "verified_at": None, "status": "Awaiting Verification",
    }  # fmt: skip
    assert codes(await client.post(PATH, json={"number": NUMBER})) == ["not_unique_within_project"]
    assert (await client.put(f"{PATH}/{id_}", json={"name": "Renamed"})).json()["name"] == "Renamed"
    listed = (await client.get(PATH, params={"filter_name": "renam", "filter_number": "9999"})).json()["data"]
    assert [one["id"] for one in listed] == [id_]
    assert (await client.delete(f"{PATH}/{id_}")).status_code == 204
    assert (await client.get(f"{PATH}/{id_}")).status_code == 404


async def test_faults(client: httpx.AsyncClient) -> None:
    assert codes(await client.post(PATH, json={})) == ["missing_required_parameter"]
    bad = {"number": "5125559999", "name": "x" * 65, "extension": "call me"}
    assert codes(await client.post(PATH, json=bad)) == [
        "invalid_number_format",
        "invalid_parameter",
        "invalid_parameter",
    ]
    id_ = await made(client)
    assert codes(await client.put(f"{PATH}/{id_}", json={"offhook": {"verified": "yes"}})) == ["invalid_parameter"]
    assert codes(await client.put(f"{PATH}/{id_}", json={"offhook": []})) == ["invalid_parameter"]


async def test_the_code_of_the_call_verifies_once(house: House, client: httpx.AsyncClient) -> None:
    id_ = await made(client)
    verification = f"{PATH}/{id_}/verification"
    assert codes(await client.put(verification, json={"verification_code": "123456"})) == ["invalid_parameter"], (
        "1. before any call no code fits"
    )
    assert (await client.post(verification)).status_code == 200
    [code] = house.reception.codes
    assert (len(code), code.isdigit()) == (6, True)
    assert codes(await client.put(verification, json={})) == ["missing_required_parameter"]
    done = await client.put(verification, json={"verification_code": code})
    assert (done.status_code, done.json()["verified"], done.json()["status"]) == (200, True, "Verified"), done.text
    assert house.reception.caller_ids.verified(house.space.project_id) == {NUMBER}, "2. it may be shown"
    assert codes(await client.put(verification, json={"verification_code": code})) == ["already_verified"]
    assert codes(await client.post(verification)) == ["already_verified"]


async def test_five_wrong_codes_and_then_not_even_the_right_one(house: House, client: httpx.AsyncClient) -> None:
    id_ = await made(client)
    verification = f"{PATH}/{id_}/verification"
    await client.post(verification)
    [code] = house.reception.codes
    wrong = "000000" if code != "000000" else "111111"
    for _ in range(5):
        assert codes(await client.put(verification, json={"verification_code": wrong})) == ["invalid_parameter"]
    answer = await client.put(verification, json={"verification_code": code})
    assert codes(answer) == ["too_many_verification_attempts"]
    soon = await client.post(verification)
    assert (soon.status_code, soon.json()["code"], int(soon.headers["retry-after"]) <= 60) == (
        429,
        "rate_limit_exceeded",
        True,
    )
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    await house.reception.caller_ids.change(id_, code_until=long_ago)
    assert (await client.post(verification)).status_code == 200
    answer = await client.put(verification, json={"verification_code": house.reception.codes[-1]})
    assert answer.status_code == 200, "a new call gives new tries"


async def test_a_call_that_cannot_be_made_says_why(house: House, client: httpx.AsyncClient) -> None:
    id_ = await made(client)
    house.reception.refuses = ("not_routable", "No trunk allows the number")
    answer = await client.post(f"{PATH}/{id_}/verification")
    assert codes(answer) == ["not_routable"]
    assert "No trunk allows" in answer.text


async def test_verified_by_decision(house: House, client: httpx.AsyncClient) -> None:
    id_ = await made(client)
    row = (await client.put(f"{PATH}/{id_}", json={"offhook": {"verified": True}})).json()
    assert row["verified"] is True
    row = (await client.put(f"{PATH}/{id_}", json={"offhook": {"verified": False}})).json()
    assert (row["verified"], house.reception.caller_ids.verified(house.space.project_id)) == (False, frozenset())


async def test_an_endpoint_may_be_shown_with_a_verified_number_only(client: httpx.AsyncClient) -> None:
    bob = {"username": "bob", "password": "a good secret", "send_as": NUMBER}
    endpoints = "/api/relay/rest/endpoints/sip"
    id_ = await made(client)
    assert codes(await client.post(endpoints, json=bob)) == ["not_purchased_or_verified"]
    await client.put(f"{PATH}/{id_}", json={"offhook": {"verified": True}})
    assert (await client.post(endpoints, json=bob)).json()["send_as"] == NUMBER


async def test_the_decision_needs_management(house: House, client: httpx.AsyncClient) -> None:
    id_ = await made(client)
    _, token = await house.api_tokens.create(house.space.project_id, "numbers only", ("numbers",))
    async with house.client() as other:
        other.auth = (house.space.project_id, token)  # type: ignore[assignment]
        answer = await other.put(f"{PATH}/{id_}", json={"offhook": {"verified": True}})
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
        assert (await other.put(f"{PATH}/{id_}", json={"name": "mine"})).status_code == 200


async def test_look_ups_tell_what_the_numbering_plan_knows(client: httpx.AsyncClient) -> None:
    facts = (await client.get("/api/relay/rest/lookup/phone_number/+15125551234")).json()
    assert (facts["e164"], facts["country_code"], facts["country_code_number"]) == ("+15125551234", "US", 1)
    assert facts["national_number_formatted"] == "(512) 555-1234"
    assert (facts["location"], facts["timezones"]) == ("Texas", ["America/Chicago"]), facts
    assert (facts["carrier"], facts["cnam"]) == ({}, {})
    for wrong in ("nonsense", "+1", "+99912345678901234567"):
        assert (await client.get(f"/api/relay/rest/lookup/phone_number/{wrong}")).status_code == 404, wrong


async def test_there_are_no_short_codes(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/relay/rest/short_codes")).json()["data"] == []
