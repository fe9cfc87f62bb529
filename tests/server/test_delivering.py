"""Webhooks are delivered in order, at least once, and a bad receiver costs nobody else (API.md 10.3), over real HTTP."""

import asyncio
import json
from urllib.parse import parse_qsl

import pytest
from signalwire.core.security.webhook_validator import validate_webhook_signature, validate_webhook_signature_sha256
from twilio.request_validator import RequestValidator

from tests.support.databases import Database
from tests.support.outbox import KEY, post
from tests.support.patience import PATIENCE
from tests.support.receiver import Got, Receiver


def numbers(got: list[Got]) -> list[int]:
    return [json.loads(one.body)["n"] for one in got]


@pytest.mark.both_databases
async def test_json_as_it_arrives(database: Database) -> None:
    async with post(database) as one, Receiver() as receiver:
        url = receiver.url("/hook?x=1").replace("//", "//user:secret@") + "#part"
        id_ = one.outbox.enqueue(
            one.project, url, json={"name": "Jürgen"}, call_ref="c1", event_id="e1", sequence=3, request_id="request-1"
        )
        got = (await receiver.wait(1))[0]
        at, body = receiver.url("/hook?x=1"), got.body.decode()
        # 1. signed so that the SDK takes it, over the URL without user information and fragment
        assert validate_webhook_signature(KEY, got.headers["x-signalwire-signature"], at, body)
        assert validate_webhook_signature_sha256(KEY, got.headers["x-signalwire-sha256-signature"], at, body)
        # 2. what it is about
        names = (
            "user-agent",
            "x-offhook-event-id",
            "x-offhook-sequence",
            "x-offhook-attempt",
            "x-request-id",
            "content-type",
        )
        said = [got.headers[name] for name in names]
        assert said == ["Offhook/0", "e1", "3", "1", "request-1", "application/json"]
        assert got.headers["authorization"] == "Basic dXNlcjpzZWNyZXQ="
        assert json.loads(body) == {"name": "Jürgen"}
        # 3. and it is written down
        done = await one.ended(id_)
        assert (done.state, [(try_["status"], try_["error"]) for try_ in done.attempts]) == ("delivered", [(200, None)])


async def test_forms_by_post_and_get(database: Database) -> None:
    fields = {"To": "+15125550100", "CallerName": "Jürgen Ω & Co", "Empty": ""}
    async with post(database) as one, Receiver() as receiver:
        one.put(receiver.url("/a?x=1"), form=fields)
        one.put(receiver.url("/b?x=1"), form=fields, method="GET")
        first, second = sorted(await receiver.wait(2), key=lambda got: got.target)
        sent = {name: value for name, value in fields.items() if value}
        assert dict(parse_qsl(first.body.decode(), keep_blank_values=True)) == sent, "1. no field without a value"
        validator = RequestValidator(KEY)
        assert validator.validate(receiver.url("/a?x=1"), sent, first.headers["x-twilio-signature"])
        assert validate_webhook_signature(
            KEY, first.headers["x-signalwire-signature"], receiver.url("/a?x=1"), first.body.decode()
        )
        # 2. a GET has its fields in the query, and no body
        assert (second.method, second.body) == ("GET", b"")
        assert dict(parse_qsl(second.target.partition("?")[2])) == {"x": "1", **sent}
        assert validator.validate(receiver.url(second.target), {}, second.headers["x-twilio-signature"])


@pytest.mark.both_databases
async def test_the_events_of_a_call_wait_for_each_other_and_those_of_others_do_not(database: Database) -> None:
    async with post(database) as one, Receiver() as receiver, Receiver() as other:
        receiver.answers = [503, 503, 503]
        for number in range(6):
            one.put(receiver.url("/x"), number, "call-1")
        await receiver.wait(1)
        one.put(receiver.url("/x"), 100, "call-2")
        one.put(other.url("/x"), 200, "call-1")
        await receiver.wait(10)
        got = numbers(receiver.got)
        # 1. in order, the one that failed again and again before the next
        mine = [number for number in got if number < 100]
        assert mine == sorted(mine)
        assert set(mine) == set(range(6))
        # 2. another call and another URL did not wait
        assert got.index(100) < len(got) - 1
        assert numbers(await other.wait(1)) == [200]


async def test_410_ends_it_at_once_and_the_next_goes(database: Database) -> None:
    async with post(database) as one, Receiver() as receiver:
        receiver.answers = [410]
        gone, after = one.put(receiver.url(), 1, "c"), one.put(receiver.url(), 2, "c")
        assert (await one.ended(gone)).state == "failed"
        assert (await one.ended(after)).state == "delivered"
        assert numbers(receiver.got) == [1, 2]


async def test_what_is_given_up_is_told_and_can_be_tried_anew(database: Database) -> None:
    async with post(database, first_retry=0.0001) as one, Receiver(status=500) as receiver, Receiver() as watcher:
        await one.webhooks.create(one.project, "watch", watcher.url("/watch"), ("webhook.*",), True)
        await one.webhooks.create(one.project, "deaf", receiver.url("/deaf"), ("webhook.failed",), True)
        url = receiver.url("/x").replace("//", "//user:secret@")
        id_ = one.put(url, 1, "call-1")
        failed = await one.ended(id_)
        # 1. ten retries after the first try, each noted
        assert (failed.state, failed.tries, len(failed.attempts)) == ("failed", 11, 11)
        assert {one["error"] for one in failed.attempts} == {"answered 500"}
        # 2. webhook.failed tells of it, without the password
        told = json.loads((await watcher.wait(1))[0].body)
        assert told["type"] == "webhook.failed"
        assert (told["data"]["delivery_id"], told["data"]["code"], told["data"]["tries"]) == (
            id_,
            "webhook_undeliverable",
            11,
        )
        assert told["data"]["url"] == receiver.url("/x").replace("//", "//user:***@")
        # 3. word of it that fails in its turn is told of no more
        while sum(got.target == "/deaf" for got in receiver.got) < 11:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert len(watcher.got) == 1
        # 4. a retry begins anew, and keeps what was
        receiver.status = 200
        one.rows.again(failed, 0.0)
        await one.writer.drained()
        one.deliverer.kick()
        done = await one.ended(id_)
        assert (done.state, done.tries, len(done.attempts)) == ("delivered", 1, 12)


async def test_a_dead_receiver_holds_up_nobody(database: Database) -> None:
    post_office = post(database, at_once=12, per_receiver=4, total=1000)
    async with post_office as one, Receiver(silent=True) as dead, Receiver() as good:
        for number in range(40):
            one.put(dead.url(), number, f"dead-{number}")
        await dead.wait(4)
        for number in range(20):
            one.put(good.url(), number, f"good-{number}")
        # 1. none of the dead one's has run out of time yet
        await good.wait(20)
        assert len(dead.got) == 4, "2. no more than its share at once"


async def test_who_does_not_answer_gets_two_at_a_time(database: Database) -> None:
    post_office = post(database, first_retry=1000, per_receiver=4, total=0.3)
    async with post_office as one, Receiver(silent=True) as dead:
        for number in range(12):
            one.put(dead.url(), number, f"dead-{number}")
        tried = 0
        async with asyncio.timeout(PATIENCE):
            while tried < 12:
                await asyncio.sleep(0.01)
                # How often it was tried, not what it heard: on a busy machine a try may be over before it was sent.
                tried = sum(row.tries for row in await one.rows.find(one.project, 12))
                assert tried < 4 or one.deliverer._under_way.total() <= 2


async def test_memory_holds_what_is_under_way_only(database: Database) -> None:
    async with post(database, first_retry=1000, per_receiver=50) as one, Receiver(status=503) as receiver:
        for number in range(1_000):
            one.put(receiver.url(), number, f"call-{number}")
            if number % 500 == 0:
                await asyncio.sleep(0)
        await receiver.wait(50)
        assert len(one.deliverer._busy) <= 100
        async with asyncio.timeout(PATIENCE):
            while (await one.rows.counts())["pending"] < 1_000:
                await asyncio.sleep(0.1)


@pytest.mark.both_databases
async def test_the_next_process_delivers_what_the_last_one_left(database: Database) -> None:
    receiver = Receiver()
    await receiver.start()
    url = receiver.url("/x")
    await receiver.stop()
    async with post(database, first_retry=0.05) as first:
        for number in range(30):
            first.put(url, number % 3, f"call-{number // 3}")
        await asyncio.sleep(0.3)
    await receiver.start()
    async with post(database, first_retry=0.05) as second:
        for call in range(10):
            second.put(url, 3, f"call-{call}")
        got = await receiver.wait(40)
        by_call: dict[str, list[int]] = {}
        rows = {row.id: row for row in await second.rows.find(second.project, 1000)}
        for one in got:
            row = rows[one.headers["x-request-id"]]
            by_call.setdefault(row.call_ref, []).append(json.loads(one.body)["n"])
        assert list(by_call.values()) == [[0, 1, 2, 3]] * 10
    await receiver.stop()


async def test_addresses_inside_are_refused_and_said_so(database: Database) -> None:
    async with post(database, first_retry=0.0001) as one:
        failed = await one.ended(one.put("http://10.1.2.3/x", 1))
        assert failed.attempts[0]["status"] is None
        assert failed.attempts[0]["error"] == "url_is_unsafe: it must not point to 10.1.2.3"


async def test_a_new_signing_key_signs_retries_at_once(database: Database) -> None:
    async with post(database, first_retry=0.2) as one, Receiver(answers=[500]) as receiver:
        one.put(receiver.url(), 1, "c")
        await receiver.wait(1)
        one.key = "PSK_another"
        got = (await receiver.wait(2))[1]
        assert validate_webhook_signature(
            "PSK_another", got.headers["x-signalwire-signature"], receiver.url(), got.body.decode()
        )


async def test_a_project_that_is_gone_gets_nothing_more(database: Database) -> None:
    async with post(database) as one, Receiver() as receiver:
        one.key = ""
        assert (await one.ended(one.put(receiver.url(), 1))).attempts[0]["error"] == "the project is gone"
        assert receiver.connections == 0


async def test_a_project_that_forces_https_sends_nothing_in_clear(database: Database) -> None:
    async with post(database, first_retry=0.0001) as one, Receiver() as receiver:
        one.forces_https = True
        failed = await one.ended(one.put(receiver.url(), 1))
        assert "forces HTTPS" in failed.attempts[0]["error"]
        assert receiver.connections == 0


async def test_ended_deliveries_are_swept(database: Database) -> None:
    from datetime import UTC, datetime, timedelta

    async with post(database, first_retry=100) as one, Receiver(answers=[200, 500]) as receiver:
        done = one.put(receiver.url(), 1, "c")
        await one.ended(done)
        waits = one.put(receiver.url(), 2, "c")
        await receiver.wait(2)
        await one.rows.sweep(datetime.now(UTC) - timedelta(days=1))
        assert await one.rows.get(one.project, done) is not None
        await one.rows.sweep(datetime.now(UTC) + timedelta(days=1))
        assert await one.rows.get(one.project, done) is None
        assert await one.rows.get(one.project, waits) is not None, "what is pending stays"
