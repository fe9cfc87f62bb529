"""Events, webhook subscriptions and deliveries over REST (API.md 12.5), with real tables and real receivers."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from offhook.api.urls import without_password
from offhook.server.desks import EventViews, WebhookViews
from offhook.store.projects import Projects
from offhook.store.vault import Vault
from tests.support.databases import Database
from tests.support.outbox import Post, post
from tests.support.patience import PATIENCE
from tests.support.platform import House
from tests.support.receiver import Receiver

EVENTS, WEBHOOKS, DELIVERIES = "/api/offhook/events", "/api/offhook/webhooks", "/api/offhook/webhook_deliveries"
CALL, ENDPOINT = "01990000-0000-7000-8000-000000000021", "01990000-0000-7000-8000-000000000001"


class Office:
    """The platform with its post office."""

    def __init__(self, house: House, one: Post, client: httpx.AsyncClient) -> None:
        self.house, self.post, self.client = house, one, client

    async def tell(self, type_: str, **more: Any) -> Any:
        event = self.post.events.publish(type_, self.post.project, **more)
        await self.post.writer.drained()
        return event

    async def get(self, path: str = EVENTS, **query: Any) -> Any:
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    house = await House.opened(database)
    async with post(database, first_retry=0.01) as one, house.client() as client:
        telling: Any = SimpleNamespace(
            events=one.events,
            event_rows=one.event_rows,
            webhooks=one.webhooks,
            subscriptions=one.subscriptions,
            delivery_rows=one.rows,
            http=one.http,
            deliverer=one.deliverer,
        )
        projects = Projects(one.engine, Vault(house.space.secret))
        await projects.load()
        house.events = EventViews(telling, streams=1)
        house.webhooks = WebhookViews(telling, one.writer, projects)  # type: ignore[attr-defined]
        yield Office(house, one, client)


async def test_reading_on_after_a_cursor(office: Office) -> None:
    made = [
        await office.tell(f"call.{name}", call_ref=CALL, data={"to": "bob"}) for name in ("created", "ringing", "ended")
    ]
    first = await office.get(limit=2)
    # 1. the object as the contract shows it
    assert first["data"][0] == {
        "id": made[0].id,
        "cursor": str(made[0].cursor),
        "at": first["data"][0]["at"],
        "type": "call.created",
        "project_id": office.post.project,
        "call_ref": CALL,
        "leg_ref": None,
        "sequence": 1,
        "request_id": None,
        "data": {"to": "bob"},
    }
    # 2. page by page
    assert (len(first["data"]), first["has_more"]) == (2, True)
    rest = await office.get(after=first["next_cursor"])
    assert ([row["sequence"] for row in rest["data"]], rest["has_more"]) == ([3], False)
    assert (await office.get(after=rest["next_cursor"]))["data"] == []
    # 3. latest is what is yet to come
    latest = await office.get(after="latest")
    assert latest["data"] == []
    await office.tell("trunk.up")
    assert [row["type"] for row in (await office.get(after=latest["next_cursor"]))["data"]] == ["trunk.up"]


async def test_filters(office: Office) -> None:
    await office.tell("call.created", call_ref=CALL, endpoints=(ENDPOINT,))
    await office.tell("registration.added", endpoints=(ENDPOINT,))
    await office.tell("trunk.up")

    async def types(**query: str) -> list[str]:
        return [row["type"] for row in (await office.get(**query))["data"]]

    assert await types(types="call.*,trunk.up") == ["call.created", "trunk.up"]
    assert await types(call_ref=CALL) == ["call.created"]
    assert await types(endpoint_id=ENDPOINT) == ["call.created", "registration.added"]
    assert await types(endpoint_id="nobody") == []


async def test_wrong_queries(office: Office) -> None:
    wrong = [("limit", "0"), ("limit", "1001"), ("wait", "31"), ("after", "x"), ("after", "-1"), ("after", "9" * 30)]
    for name, value in [*wrong, ("types", "call.created,call.nonsense")]:
        code = "list_contains_invalid_entries" if name == "types" else "invalid_parameter"
        for path in (EVENTS, EVENTS + "/stream")[: 2 if name in ("after", "types") else 1]:
            answer = await office.client.get(path, params={name: value})
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code), (name, value)


async def test_a_cursor_from_before_what_is_kept_has_expired(office: Office) -> None:
    await office.tell("trunk.up")
    for path in (EVENTS, EVENTS + "/stream"):
        gone = await office.client.get(path, params={"after": "1"})
        assert (gone.status_code, gone.json()["code"], gone.json()["error"]) == (410, "cursor_expired", "Gone")
    assert len((await office.get(after=gone.json()["oldest_cursor"]))["data"]) == 1


async def waits(office: Office, asked: asyncio.Task[Any]) -> None:
    """The request has read what there is, and waits for news, unless it is over."""
    async with asyncio.timeout(PATIENCE):
        while not asked.done() and not office.post.events.news._waiters:  # type: ignore[attr-defined]
            await asyncio.sleep(0.005)


async def test_waiting_for_the_first_event(office: Office) -> None:
    started = asyncio.get_running_loop().time()
    asked = asyncio.create_task(office.get(after="latest", types="call.*", wait=30))
    await waits(office, asked)
    await office.tell("trunk.up")
    await waits(office, asked)
    assert not asked.done(), "1. another type does not end it"
    await office.tell("call.created", call_ref=CALL)
    assert [row["type"] for row in (await asked)["data"]] == ["call.created"]
    assert asyncio.get_running_loop().time() - started < 30
    # 2. nothing in time is an answer too
    empty = await office.get(after="latest", wait=1)
    assert (empty["data"], empty["has_more"]) == ([], False)
    # 3. a server that stops keeps nobody waiting
    asked = asyncio.create_task(office.get(after="latest", wait=30))
    await waits(office, asked)
    office.post.events.close()
    assert (await asked)["data"] == []


async def test_another_projects_events_are_not_there(office: Office) -> None:
    office.post.events.publish("trunk.up", "another project")
    await office.post.writer.drained()
    assert (await office.get())["data"] == []


# ---- subscriptions


async def test_a_subscription_from_first_to_last(office: Office) -> None:
    async with Receiver() as receiver:
        url = receiver.url("/hook").replace("//", "//user:secret@")
        made = await office.client.post(WEBHOOKS, json={"name": "all calls", "url": url, "types": ["call.*"]})
        assert made.status_code == 201
        row = made.json()
        # 1. the password is shown this once
        assert (row["url"], row["types"], row["enabled"]) == (url, ["call.*"], True)
        path = f"{WEBHOOKS}/{row['id']}"
        assert (await office.get(path))["url"] == receiver.url("/hook").replace("//", "//user:***@")
        # 2. what is subscribed to comes, as the events API shows it, and nothing else
        await office.tell("trunk.up")
        event = await office.tell("call.created", call_ref=CALL)
        got = (await receiver.wait(1))[0]
        assert json.loads(got.body) == event.view()
        assert (got.headers["x-offhook-event-id"], got.headers["x-offhook-sequence"]) == (event.id, "1")
        # 3. written back as it was shown, the password stays
        changed = await office.client.patch(path, json={"url": without_password(url), "types": ["trunk.*"]})
        assert (changed.status_code, changed.json()["types"]) == (200, ["trunk.*"])
        await office.tell("trunk.down")
        assert (await receiver.wait(2))[1].headers["authorization"] == "Basic dXNlcjpzZWNyZXQ="
        # 4. switched off it gets nothing, but a trial
        assert (await office.client.put(path, json={"enabled": False})).json()["enabled"] is False
        await office.tell("trunk.up")
        pinged = await office.client.post(path + "/ping")
        assert pinged.status_code == 202
        trial = json.loads((await receiver.wait(3))[2].body)
        assert (trial["type"], trial["data"]) == ("webhook.ping", {"webhook_id": row["id"]})
        await office.post.ended(pinged.json()["delivery_id"])
        assert (await office.get(f"{DELIVERIES}/{pinged.json()['delivery_id']}"))["state"] == "delivered"
        # 5. gone
        assert (await office.client.delete(path)).status_code == 204
        assert (await office.client.get(path)).status_code == 404
        assert (await office.get(WEBHOOKS))["data"] == []
        # 6. each change was an event
        await office.post.writer.drained()
        told = (await office.get(types="config.changed"))["data"]
        assert [one["data"]["action"] for one in told] == ["created", "changed", "changed", "deleted"]
        assert told[0]["data"] == {"resource": WEBHOOKS, "id": row["id"], "action": "created"}
        assert told[0]["request_id"] == made.headers["x-request-id"]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"url": "http://127.0.0.1/"}, "name", "missing_required_parameter"),
    ({"name": "x"}, "url", "missing_required_parameter"),
    ({"name": "x" * 65, "url": "http://127.0.0.1/"}, "name", "invalid_parameter"),
    ({"name": 1, "url": "http://127.0.0.1/"}, "name", "invalid_parameter"),
    ({"name": "x", "url": "ftp://127.0.0.1/"}, "url", "not_an_http_url"),
    ({"name": "x", "url": 7}, "url", "not_an_http_url"),
    ({"name": "x", "url": "http://169.254.169.254/latest"}, "url", "url_is_unsafe"),
    ({"name": "x", "url": "http://0xa000001/"}, "url", "url_is_unsafe"),
    ({"name": "x", "url": "http://127.0.0.1/", "types": ["call.x"]}, "types", "list_contains_invalid_entries"),
    ({"name": "x", "url": "http://127.0.0.1/", "types": "call.*"}, "types", "invalid_parameter"),
    ({"name": "x", "url": "http://127.0.0.1/", "enabled": 1}, "enabled", "invalid_parameter"),
    ({"name": "x", "url": "http://127.0.0.1/", "secret": 1}, "secret", "unknown_parameter"),
]


async def test_wrong_subscriptions(office: Office) -> None:
    for body, attribute, code in WRONG:
        answer = await office.client.post(WEBHOOKS, json=body)
        assert answer.status_code == 422
        assert [(one["attribute"], one["code"]) for one in answer.json()["errors"]] == [(attribute, code)]


async def test_a_project_that_forces_https(office: Office) -> None:
    views: Any = office.house.webhooks  # type: ignore[attr-defined]
    await views._projects.change(office.post.project, settings={"force_https_requests": True})
    answer = await office.client.post(WEBHOOKS, json={"name": "x", "url": "http://127.0.0.1/"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "not_an_http_url")


async def test_scopes(office: Office) -> None:
    tokens = office.house.api_tokens
    paths = [
        ("GET", EVENTS),
        ("GET", WEBHOOKS),
        ("POST", WEBHOOKS),
        ("GET", DELIVERIES),
        ("POST", f"{DELIVERIES}/x/retry"),
    ]
    opened = {
        "calling": [200, 403, 403, 403, 403],
        "monitor": [200, 200, 403, 200, 403],
        "management": [200, 200, 422, 200, 404],
    }
    for scope, statuses in opened.items():
        _, text = await tokens.create(office.post.project, scope, [scope])
        auth = (office.post.project, text)
        answers = [await office.client.request(verb, path, auth=auth) for verb, path in paths]
        assert [one.status_code for one in answers] == statuses, scope
    assert (await office.client.get(EVENTS, auth=("x", "y"))).status_code == 401


# ---- deliveries


async def test_deliveries_are_listed_and_tried_again(office: Office) -> None:
    async with Receiver(answers=[410]) as receiver:
        failed = office.post.put(receiver.url("/a"), 1, CALL)
        assert (await office.post.ended(failed)).state == "failed"
        others = [office.post.put(receiver.url(f"/b{number}"), number) for number in range(4)]
        for one in others:
            await office.post.ended(one)
        # 1. newest first, page by page, each once
        first = await office.get(DELIVERIES, page_size=2)
        second = (await office.client.get(first["links"]["next"])).json()
        third = (await office.client.get(second["links"]["next"])).json()
        ids = [row["id"] for part in (first, second, third) for row in part["data"]]
        assert ids == [*reversed(others), failed]
        assert "next" not in third["links"]
        assert (await office.client.get(second["links"]["prev"])).json()["data"] == first["data"]
        # 2. filters
        assert [row["id"] for row in (await office.get(DELIVERIES, state="failed"))["data"]] == [failed]
        assert [row["id"] for row in (await office.get(DELIVERIES, call_ref=CALL))["data"]] == [failed]
        assert [row["id"] for row in (await office.get(DELIVERIES, url="/b2"))["data"]] == [others[2]]
        assert (await office.client.get(DELIVERIES, params={"state": "x"})).status_code == 422
        # 3. what came of each try
        row = await office.get(f"{DELIVERIES}/{failed}")
        assert [(one["status"], one["error"]) for one in row["attempts"]] == [(410, "answered 410")]
        assert (row["state"], row["next_attempt_at"], row["url"]) == ("failed", None, receiver.url("/a"))
        # 4. tried again
        again = await office.client.post(f"{DELIVERIES}/{failed}/retry")
        assert (again.status_code, again.json()["id"]) == (202, failed)
        done = await office.post.ended(failed)
        assert [one["status"] for one in done.attempts] == [410, 200]
        assert (await office.client.post(f"{DELIVERIES}/nothing/retry")).status_code == 404
