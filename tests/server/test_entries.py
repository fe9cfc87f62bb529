"""What numbers lead to and what may be shown and reached outside, from the store, with several projects (server.entries)."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from offhook.api.trunk_fields import trunk_fields
from offhook.calls.entry import ForwardsTo, NotRun, RingsMembers, RunsDocument
from offhook.server.entries import Entries
from offhook.server.profiles import Profiles
from offhook.sip.digest import both_ha1
from tests.support.platform import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """The stores over a fresh database."""
    one = await House.opened(tmp_path)
    yield one
    await one.engine.dispose()


@pytest.fixture
def store(house: House) -> Any:
    """The stores of a platform as the server has them."""
    caller_ids, applications = house.reception.caller_ids, house.reception.applications
    return SimpleNamespace(
        space=house.space, endpoints=house.endpoints, numbers=house.numbers, resources=house.resources,
        addresses=house.addresses, trunks=house.trunks, projects=house.projects, caller_ids=caller_ids,
        applications=applications, aor=lambda name: f"sip:{name}@x", find=lambda aor: (),
        account=lambda name: house.endpoints.account(name, house.realm),
    )  # fmt: skip


async def endpoint(house: House, username: str, project: str = "", **fields: Any) -> Any:
    md5, sha256 = both_ha1(username, house.realm, "a good secret")
    return await house.endpoints.create(
        project_id=project or house.space.project_id, username=username, ha1_md5=md5, ha1_sha256=sha256, **fields
    )


async def number(house: House, digits: str, project: str = "", **settings: Any) -> Any:
    return await house.numbers.create(
        project_id=project or house.space.project_id, number=digits, settings=settings,
        endpoint_id=settings.get("call_sip_endpoint_id"),
    )  # fmt: skip


async def test_every_kind_of_handler(house: House, store: Any) -> None:
    entries, bob = Entries(store), await endpoint(house, "bob")
    subscriber = await house.resources.create(house.space.project_id, "subscriber", "Carol", {})
    await endpoint(house, "carol1", subscriber_id=subscriber.id)
    await endpoint(house, "carol2", subscriber_id=subscriber.id)
    gateway = await house.resources.create(
        house.space.project_id, "sip_gateway", "pbx",
        {"uri": "sips:desk@pbx.example", "encryption": "default", "codecs": ["PCMU", "VP8"], "ciphers": [],
         "offhook": {"trunk_id": "t1"}},
    )  # fmt: skip
    rings = {"call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": bob.id}
    await number(house, "+15125550101", **rings, offhook={"ring_seconds": 20, "fallback": "carol1"})
    await number(house, "+15125550102", call_handler="fabric_subscriber", calling_handler_resource_id=subscriber.id)
    await number(house, "+15125550103", call_handler="sip_gateway", calling_handler_resource_id=gateway.id)
    await number(house, "+15125550104", call_handler="relay_script", call_relay_script_url="https://example.com/a")
    laml = {
        "call_request_url": "https://example.com/a",
        "call_request_method": "GET",
        "call_status_callback_url": "https://b/",
    }
    await number(house, "+15125550105", call_handler="laml_webhooks", **laml)
    await number(house, "+15125550106", call_handler="ai_agent", call_ai_agent_id="x")
    await number(house, "+15125550107")

    def handler(last: int) -> Any:
        found = entries.of_number(f"+1512555010{last}")
        assert found is not None
        return found.handler

    first = entries.of_number("+15125550101")
    assert first is not None
    assert (first.ring_seconds, first.fallback, first.rights.username) == (20, "carol1", "+15125550101")  # type: ignore[union-attr]
    assert [one.account.username for one in handler(1).members] == ["bob"]
    assert isinstance(handler(2), RingsMembers)
    assert [one.account.username for one in handler(2).members] == ["carol1", "carol2"]
    way = handler(3)
    assert isinstance(way, ForwardsTo)
    assert (str(way.uri), way.trunk_id, way.codecs, way.encryption) == (
        "sips:desk@pbx.example",
        "t1",
        ("PCMU",),
        "optional",
    )
    profile = {"default_encryption": "required", "default_codecs": ["G722", "H264"]}
    await house.projects.change(house.space.project_id, profile=profile)
    await house.resources.change(gateway.id, "pbx", {**gateway.settings, "codecs": []})
    assert (handler(3).codecs, handler(3).encryption) == (("G722",), "required"), "what is not set is the profile's"
    assert isinstance(handler(4), RunsDocument)
    assert (handler(4).kind, handler(4).primary.method) == ("swml", "POST")
    assert (handler(5).kind, handler(5).primary.method, handler(5).status.url) == ("cxml", "GET", "https://b/")
    assert handler(6) == NotRun("ai_agent")
    assert handler(7) is None
    assert entries.of_number("+15125550199") is None


async def test_a_project_shows_its_own_numbers_and_those_it_has_verified(house: House, store: Any) -> None:
    entries = Entries(store)
    other = await house.projects.create(house.space.project_id, "other", {})
    alice, mallory = await endpoint(house, "alice"), await endpoint(house, "mallory", other.id)
    await number(house, "+15125550101", offhook={"caller_name": "ACME"})
    await number(house, "+15125550102", other.id)
    verified = await house.reception.caller_ids.create(project_id=house.space.project_id, number="+14155550123")
    assert verified is not None
    waiting = entries.caller_numbers(alice.username)
    assert waiting is not None
    assert not waiting.may("+14155550123"), "1. not before it is verified"
    await house.reception.caller_ids.change(verified.id, verified_at=verified.created_at)
    of_alice, of_mallory = entries.caller_numbers("alice"), entries.caller_numbers(mallory.username)
    assert of_alice is not None
    assert of_mallory is not None
    assert [of_alice.may(one) for one in ("+15125550101", "+15125550102", "+14155550123")] == [True, False, True], "2."
    assert [of_mallory.may(one) for one in ("+15125550101", "+15125550102", "+14155550123")] == [False, True, False]
    assert (of_alice.default, of_mallory.default) == ("+15125550101", "+15125550102"), "3."
    assert of_alice.names == {"+15125550101": "ACME"}
    placed = entries.caller_numbers("", other.id)
    assert placed is not None
    assert (placed.default, placed.may("+15125550101")) == ("+15125550102", False), "4. calls that the project places"
    falls_back = entries.caller_numbers("+15125550101")
    assert falls_back is not None
    assert falls_back.chosen == "+15125550101", "5. a number that calls on shows itself"
    assert entries.caller_numbers("nobody") is None


async def test_the_kill_switch_holds_for_endpoints_numbers_and_the_api_of_its_project(house: House, store: Any) -> None:
    other = await house.projects.create(house.space.project_id, "other", {})
    await endpoint(house, "alice")
    await endpoint(house, "mallory", other.id, handler={"policy": "passthrough"})
    await number(house, "+15125550102", other.id)
    values, _ = trunk_fields({"name": "acme", "targets": [{"uri": "sip:carrier.example"}]})
    of_root = await house.trunks.create(house.space.project_id, values, None, None)
    of_other = await house.trunks.create(other.id, {**values, "name": "theirs"}, None, None)
    profiles = Profiles(store, (), (), "")
    assert profiles.permits("mallory").pstn_enabled
    await house.projects.change(other.id, profile={"offhook": {"pstn_enabled": False, "outbound_policy": "block-pstn"}})
    for who, project in (("mallory", ""), ("+15125550102", ""), ("", other.id)):
        assert not profiles.permits(who, project).pstn_enabled, who
    assert profiles.permits("alice").pstn_enabled, "another project's switch is its own"
    assert profiles.permits("mallory").numbers, "its own policy goes before the profile's"
    assert profiles.permits("alice").trunks == {of_root.id}, "a project's trunks are its own"
    assert profiles.permits("mallory").trunks == {of_root.id, of_other.id}, "and the root's"
