"""Whom a name means (API.md 1.8), over real stores: the order of names, projects, locks, extensions."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from offhook.calls.entry import BeyondTier, Entry, Locked, RingsMembers, RunsDocument
from offhook.server.entries import Entries
from offhook.sip.digest import both_ha1
from offhook.sip.location import Account
from offhook.store.endpoints import Endpoint
from tests.support.platform import House


class Names:
    """Endpoints, resources and what names lead to."""

    def __init__(self, house: House) -> None:
        self.house, self.project = house, house.space.project_id
        store = SimpleNamespace(
            space=house.space,
            endpoints=house.endpoints,
            addresses=house.addresses,
            resources=house.resources,
            numbers=house.numbers,
            applications=house.applications,
            account=lambda name: house.endpoints.account(name, "offhook.test"),
            aor=lambda name: f"sip:{name}@offhook.test",
            find=lambda aor: (),
        )
        self.entries = Entries(store)  # type: ignore[arg-type]

    async def endpoint(self, username: str, **fields: object) -> Endpoint:
        md5, sha256 = both_ha1(username, "offhook.test", "secret")
        values = {"project_id": self.project, "ha1_md5": md5, "ha1_sha256": sha256, **fields}
        row = await self.house.endpoints.create(username=username, **values)
        assert row is not None
        return row

    async def resource(self, type_: str, name: str, **settings: object) -> str:
        row = await self.house.resources.create(self.project, type_, name, settings)
        assert row is not None
        return row.id

    def called(self, name: str) -> str:
        """An endpoint's name, the names that ring together, or what else it leads to."""
        found = self.entries.called(name, None)
        if isinstance(found, Account):
            return found.username
        if found is None:
            return "nobody"
        if isinstance(found.handler, RingsMembers):
            return "+".join(one.account.username for one in found.handler.members)
        return type(found.handler).__name__


@pytest.fixture
async def names(tmp_path: Path) -> AsyncIterator[Names]:
    house = await House.opened(tmp_path)
    yield Names(house)
    await house.engine.dispose()


async def test_a_bare_word_is_an_endpoint_then_an_extension_then_an_address(names: Names) -> None:
    sales = await names.resource("subscriber", "Sales", email="sales@example.com")
    await names.endpoint("Bob", subscriber_id=sales, offhook={"extension": "101"})
    await names.endpoint("carol", subscriber_id=sales)
    assert names.called("bob") == names.called("101") == "Bob"
    assert names.called("SALES") == "Bob+carol", "1. every endpoint of the subscriber"
    await names.endpoint("sales")
    assert names.called("sales") == "sales", "2. an endpoint goes before the address"
    assert names.called("/private/sales") == "Bob+carol", "3. which has a form that nothing hides"
    assert names.called("/private/sales-2") == "sales", "4. an endpoint's own address leads to it"
    assert names.called("dora") == names.called("102") == names.called("/private/dora") == "nobody"


async def test_a_locked_address_takes_no_calls_by_any_name(names: Names) -> None:
    bob = await names.endpoint("bob", offhook={"extension": "101"})
    own = names.house.addresses.of(bob.id)
    assert own is not None
    await names.house.addresses.lock(own.id, True)
    assert {names.called(name) for name in ("bob", "101", "/private/bob")} == {"Locked"}
    await names.house.addresses.lock(own.id, False)
    assert names.called("bob") == "bob"


async def test_a_webhook_s_address_runs_its_document(names: Names) -> None:
    url = "https://app.example/"
    await names.resource(
        "swml_webhook", "Menu", primary_request_url=url, primary_request_method="GET", fallback_request_url=url + "2",
        fallback_request_method="POST", status_callback_url=None,
    )  # fmt: skip
    found = names.entries.called("menu", None)
    assert isinstance(found, Entry)
    assert isinstance(found.handler, RunsDocument)
    assert (found.handler.kind, found.handler.primary.url, found.handler.primary.method) == ("swml", url, "GET")
    assert found.handler.fallback is not None
    assert found.handler.fallback.url == url + "2", "1. the resource says more than the fields of a number can"


async def test_extensions_and_addresses_are_those_of_the_caller_s_project(names: Names) -> None:
    branch = await names.house.projects.create(names.project, "Branch", {})
    await names.endpoint("bob", offhook={"extension": "101"})
    await names.endpoint("dave", project_id=branch.id, offhook={"extension": "101"})
    found = names.entries.called("101", "dave")
    assert isinstance(found, Account)
    assert found.username == "dave"
    assert names.called("101") == "bob"
    assert isinstance(names.entries.called("bob", "dave"), Account), "1. user names are those of the whole domain"


async def test_a_locked_entry_is_told_apart(names: Names) -> None:
    await names.resource("subscriber", "Sales", email="s@example.com")
    own = names.house.addresses.named(names.project, "sales")
    assert own is not None
    await names.house.addresses.lock(own.id, True)
    found = names.entries.called("sales", None)
    assert isinstance(found, Entry)
    assert found.handler == Locked()
    assert found.name == "/private/sales"


async def test_a_guest_s_account_is_that_of_the_addresses_project_and_no_endpoint(names: Names) -> None:
    bob = await names.endpoint("bob")
    own = names.house.addresses.of(bob.id)
    assert own is not None
    name = names.house.token_office.guest("guest", (own.id,))
    account = names.house.store.account(name)
    assert account is not None
    assert (account.tier, account.project, account.endpoint_id) == ("guest", names.project, None)
    gone = names.house.token_office.guest("widget", (own.id,), "0199aaaa-0000-7000-8000-000000000001")
    assert names.house.store.account(gone) is None, "1. a widget that is deleted has no callers"


async def test_a_guest_reaches_his_addresses_by_any_of_their_names(names: Names) -> None:
    names.entries._store.guests = names.house.store.guests  # type: ignore[attr-defined]
    bob = await names.endpoint("bob", offhook={"extension": "101"})
    await names.endpoint("carol")
    own = names.house.addresses.of(bob.id)
    assert own is not None
    name = names.house.token_office.guest("guest", (own.id,))
    for called in ("bob", "BOB", "101", "/private/bob"):
        found = names.entries.called(called, name)
        assert isinstance(found, Account), called
        assert found.username == "bob"
    for called in ("carol", "/private/carol", "102", "+15125550100", "nobody"):
        found = names.entries.called(called, name)
        assert isinstance(found, Entry), called
        assert found.handler == BeyondTier()
    assert names.entries.called("resume", name) is None, "1. he may take his own call back"
