"""`/api/relay/rest/endpoints/sip` over the real store; only live calls are stood in for."""

from typing import Any

import httpx
import pytest

from offhook.sip.digest import both_ha1
from tests.support.databases import Database
from tests.support.platform import House

pytestmark = pytest.mark.both_databases

PATH = "/api/relay/rest/endpoints/sip"
GOOD = "a long enough secret"


async def made(client: httpx.AsyncClient, username: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"username": username, "password": GOOD, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_create_show_change_delete(client: httpx.AsyncClient, house: House) -> None:
    row = await made(client, "carol", caller_id="Carol", codecs=["pcmu", "opus"])
    assert (row["type"], row["codecs"], row["encryption"]) == ("sip_endpoint", ["PCMU", "OPUS"], "default")
    assert row["offhook"]["aor"] == "sip:carol@offhook.test"
    assert "password" not in row
    assert GOOD not in str(row)
    one = f"{PATH}/{row['id']}"
    assert (await client.get(one)).json() == row
    for verb in ("PUT", "PATCH"):
        changed = await client.request(verb, one, json={"caller_id": verb, "offhook": {"ring_seconds": 30}})
        assert (changed.status_code, changed.json()["caller_id"]) == (200, verb)
        assert changed.json()["codecs"] == ["PCMU", "OPUS"]
    assert (await client.put(one, json={"password": "another good secret"})).status_code == 200
    assert house.unbound == ["carol"]
    gone = await client.delete(one + "?hangup=true")
    assert (gone.status_code, gone.content) == (204, b"")
    assert house.unbound[-2:] == ["carol", "carol endpoint_deleted"]
    for again in (await client.get(one), await client.delete(one)):
        assert (again.status_code, again.json()["code"]) == (404, "endpoint_not_found")


async def test_only_ha1_is_kept(client: httpx.AsyncClient, house: House, database: Database) -> None:
    await made(client, "carol")
    row = house.endpoints.named("CAROL")
    assert row is not None
    assert (row.ha1_md5, row.ha1_sha256) == both_ha1("carol", "offhook.test", GOOD)
    for table in ("endpoints", "tokens", "spaces", "projects"):
        kept = str(database.rows(f"select * from {table}"))
        assert GOOD not in kept
        assert house.text not in kept


async def test_every_fault_is_listed_in_field_order(client: httpx.AsyncClient) -> None:
    body = {"username": "two words", "password": "short", "caller_id": "a\nb", "send_as": "123", "codecs": ["MP3"],
            "ciphers": ["ROT13"], "encryption": "never", "call_handler": "magic"}  # fmt: skip
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 422
    errors = answer.json()["errors"]
    assert {(one["attribute"], one["code"]) for one in errors} == {
        ("username", "invalid_parameter"), ("password", "password_too_weak"), ("caller_id", "invalid_parameter"),
        ("send_as", "invalid_number_format"), ("codecs", "list_contains_invalid_entries"),
        ("ciphers", "list_contains_invalid_entries"), ("encryption", "invalid_parameter_value"),
        ("call_handler", "invalid_parameter_value"),
    }  # fmt: skip
    assert all(set(one) == {"detail", "status", "title", "code", "attribute"} for one in errors)
    empty = (await client.post(PATH, content=b"")).json()["errors"]
    assert [(one["attribute"], one["detail"]) for one in empty] == [
        ("username", "username is required"), ("password", "password is required"),
    ]  # fmt: skip


@pytest.mark.parametrize("password", ["1234567", "password123", "Carol-Carol", "x" * 129])
async def test_weak_passwords_are_refused(client: httpx.AsyncClient, password: str) -> None:
    answer = await client.post(PATH, json={"username": "carol-carol", "password": password})
    assert [one["code"] for one in answer.json()["errors"]] == ["password_too_weak"]


async def test_names_are_unique_without_regard_to_case(client: httpx.AsyncClient) -> None:
    await made(client, "carol")
    dave = await made(client, "dave")
    taken = await client.post(PATH, json={"username": "CAROL", "password": GOOD})
    assert taken.json()["errors"][0]["code"] == "not_unique_within_project"
    renamed = await client.put(f"{PATH}/{dave['id']}", json={"username": "Carol", "password": GOOD})
    assert renamed.json()["errors"][0]["detail"] == "Username has already been taken"
    bare = await client.put(f"{PATH}/{dave['id']}", json={"username": "david"})
    assert bare.json()["errors"][0]["code"] == "password_required"


@pytest.mark.parametrize("username", ["echo", "Tone", "conference-1", "", "a" * 65])
async def test_built_in_names_are_not_endpoints(client: httpx.AsyncClient, username: str) -> None:
    assert (await client.post(PATH, json={"username": username, "password": GOOD})).status_code == 422


async def test_paging_goes_through_everything_once(client: httpx.AsyncClient) -> None:
    names = [f"user{number}" for number in range(7)]
    for name in names:
        await made(client, name)
    seen: list[str] = []
    link, pages = f"{PATH}?page_size=3&filter_username=USER", 0
    while link:
        answer = (await client.get(link)).json()
        seen += [row["username"] for row in answer["data"]]
        link, pages = answer["links"].get("next", ""), pages + 1
    assert (seen, pages) == (names[::-1], 3)
    assert "page_size=3" in answer["links"]["prev"]
    assert "filter_username=USER" in answer["links"]["prev"]
    back = (await client.get(answer["links"]["prev"])).json()
    assert [row["username"] for row in back["data"]] == ["user3", "user2", "user1"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("page_size=0", "invalid_parameter"), ("page_size=1001", "invalid_parameter"), ("page_size=x", "invalid_parameter"),
        ("page_number=1", "page_token_required"), ("page_token=PA!", "page_token_is_invalid"),
    ],
)  # fmt: skip
async def test_wrong_paging_is_refused(client: httpx.AsyncClient, query: str, code: str) -> None:
    answer = await client.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)


async def test_credentials_and_scopes(client: httpx.AsyncClient, house: House) -> None:
    bare = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    for auth in (None, (house.space.project_id, "PTwrong"), ("0" * 8, house.text)):
        answer = await bare.get(PATH, auth=auth) if auth else await bare.get(PATH)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="offhook"'
    short = "AC" + house.space.project_id.replace("-", "")
    assert (await bare.get(PATH, auth=(short, house.text))).status_code == 200


async def test_a_guesser_is_stopped(client: httpx.AsyncClient, house: House) -> None:
    statuses = [(await client.get(PATH, auth=("x", "y"))).status_code for _ in range(21)]
    assert statuses == [401] * 20 + [429]
    locked = await client.get(PATH)
    assert locked.status_code == 429
    assert int(locked.headers["retry-after"]) >= 1


async def test_every_answer_has_a_request_id(client: httpx.AsyncClient) -> None:
    own = await client.get(PATH, headers={"X-Request-Id": "my-request-1"})
    assert own.headers["x-request-id"] == "my-request-1"
    for path, headers in ((PATH, {"X-Request-Id": "bad id"}), ("/nowhere", {}), ("/healthz", {})):
        answer = await client.get(path, headers=headers)
        assert len(answer.headers["x-request-id"]) == 36


async def test_bodies_that_cannot_be_read(client: httpx.AsyncClient) -> None:
    json = {"content-type": "application/json"}
    cases = ((b"{", json, 400, "not_a_valid_json"), (b"[]", json, 400, "not_a_valid_json"),
             (b"[" * 3000, json, 400, "not_a_valid_json"), (b"x" * 5000, json, 413, "body_too_large"),
             (b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"))  # fmt: skip
    for content, headers, status, code in cases:
        answer = await client.post(PATH, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_unknown_fields_are_named(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, json={"username": "carol", "password": GOOD, "colour": "red", "size": 3})
    assert (answer.status_code, answer.headers["x-offhook-ignored"]) == (201, "colour, size")


async def test_plain_errors_have_their_shape(client: httpx.AsyncClient) -> None:
    wrong = await client.delete(PATH)
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["allow"]
    assert (await client.get("/api/nowhere")).json()["error"] == "Not Found"
    assert (await client.get(PATH + "/")).status_code == 200
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (503, {"store": True, "media": False})
    missing = await client.get("/api/offhook/calls/none")
    assert (missing.status_code, missing.json()["code"]) == (404, "call_not_found")


async def test_forwarding_and_the_options_of_sip_are_checked_kept_and_shown(
    client: httpx.AsyncClient, house: House
) -> None:
    body = {"username": "dora", "password": GOOD, "offhook": {"forward": {"busy": "bob"}, "sip": {"may_page": True}}}
    row = (await client.post(PATH, json=body)).json()
    # 1. every key is shown, given or not
    assert row["offhook"]["forward"] == {"always": None, "busy": "bob", "no_answer": None, "unreachable": None}
    # 2. a change keeps the keys that it does not name
    change = {"offhook": {"forward": {"no_answer": "sip:carol@offhook.test"}, "ring": "serial"}}
    row = (await client.patch(f"{PATH}/{row['id']}", json=change)).json()
    assert row["offhook"]["forward"]["busy"] == "bob"
    account = next(one for one in house.endpoints if one.username == "dora").account("offhook.test")
    # 3. what call control reads is the same
    assert (account.forward.busy, account.forward.no_answer, account.ring) == (
        "bob",
        "sip:carol@offhook.test",
        "serial",
    )
    assert account.rights == {"page"}
    # 4. every fault is named
    wrong = {"offhook": {"forward": {"busy": 7, "moon": "x"}, "sip": "x", "ring": "loud"}}
    answer = await client.patch(f"{PATH}/{row['id']}", json=wrong)
    named = {one["attribute"] for one in answer.json()["errors"]}
    assert named == {"offhook.forward.busy", "offhook.sip", "offhook.ring"}
    # 5. what nothing here reads is ignored, and said so
    answer = await client.patch(
        f"{PATH}/{row['id']}", json={"offhook": {"forward": {"moon": "x"}, "sun": 1}, "star": 2}
    )
    assert answer.headers["x-offhook-ignored"] == "star, offhook.sun, offhook.forward.moon"
    assert "moon" not in answer.json()["offhook"]["forward"]


async def test_a_limit_of_an_hour_can_be_set_and_taken_away(client: httpx.AsyncClient) -> None:
    row = await made(client, "carol")
    assert row["offhook"]["max_calls_per_hour"] is None, "1. none of its own"
    for value in (20, None):
        changed = await client.put(f"{PATH}/{row['id']}", json={"offhook": {"max_calls_per_hour": value}})
        assert changed.json()["offhook"]["max_calls_per_hour"] == value, "2. as it was given"
    for wrong in (0, 10_001, True, "5"):
        refused = await client.put(f"{PATH}/{row['id']}", json={"offhook": {"max_calls_per_hour": wrong}})
        assert refused.json()["errors"][0]["attribute"] == "offhook.max_calls_per_hour", "3. 1 to 10000"
