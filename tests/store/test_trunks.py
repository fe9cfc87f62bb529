"""Trunks and numbers at rest: a second opening finds them, passwords are sealed, a moved seal does not open."""

import pytest

from offhook.api.trunk_fields import trunk_fields
from offhook.store.database import migrate
from offhook.store.numbers import NumberRows
from offhook.store.space import Spaces
from offhook.store.trunks import TrunkRows
from offhook.store.vault import Vault, VaultError
from tests.support.databases import Database

PASSWORD = "a carrier's own Passw0rd"


def settings(name: str) -> dict[str, object]:
    values, faults = trunk_fields({"name": name, "targets": [{"uri": "sip:carrier.example"}]})
    assert not faults
    return values


async def test_a_second_opening_finds_trunks_with_their_passwords(database: Database) -> None:
    engine = database.open()
    await migrate(engine)
    space, _ = await Spaces(engine).create("offhook.test")
    made = await TrunkRows(engine, Vault(space.secret)).create(space.project_id, settings("acme"), PASSWORD, None)
    assert made is not None
    sealed = database.rows("select password from trunks")
    assert PASSWORD.encode() not in bytes(sealed[0][0]), "1. never in clear"
    assert PASSWORD not in repr(made), "2. nor shown by repr"
    again = database.open()
    rows = TrunkRows(again, Vault(space.secret))
    await rows.load()
    (found,) = rows
    assert found.settings == made.settings
    assert found.password is not None
    assert found.password.reveal() == PASSWORD


async def test_a_name_is_taken_without_regard_to_case_and_secrets_stay_unless_given(database: Database) -> None:
    engine = database.open()
    await migrate(engine)
    space, _ = await Spaces(engine).create("offhook.test")
    rows = TrunkRows(engine, Vault(space.secret))
    made = await rows.create(space.project_id, settings("acme"), PASSWORD, None)
    assert made is not None
    assert await rows.create(space.project_id, settings("ACME"), None, None) is None
    changed = await rows.change(made.id, settings("acme 2"))
    assert changed is not None
    assert changed.password == made.password
    cleared = await rows.change(made.id, settings("acme 2"), password=None)
    assert cleared is not None
    assert cleared.password is None


async def test_another_secret_costs_the_password_and_not_the_start(database: Database) -> None:
    engine = database.open()
    await migrate(engine)
    space, _ = await Spaces(engine).create("offhook.test")
    await TrunkRows(engine, Vault(space.secret)).create(space.project_id, settings("acme"), PASSWORD, None)
    rows = TrunkRows(engine, Vault(b"another secret of thirty-two byte"))
    await rows.load()
    (found,) = rows
    assert found.password is None
    assert "cannot be opened" in found.broken


def test_a_seal_is_good_for_its_row_only() -> None:
    vault = Vault(b"x" * 32)
    sealed = vault.seal(PASSWORD, "trunk 1 password")
    assert vault.open(sealed, "trunk 1 password").reveal() == PASSWORD
    for broken, about in ((sealed, "trunk 2 password"), (sealed[:-1], "trunk 1 password"), (b"", "trunk 1 password")):
        with pytest.raises(VaultError):
            vault.open(broken, about)


async def test_numbers_by_number_and_by_endpoint(database: Database) -> None:
    engine = database.open()
    await migrate(engine)
    space, _ = await Spaces(engine).create("offhook.test")
    rows = NumberRows(engine)
    first = await rows.create(project_id=space.project_id, number="+15125550100", endpoint_id="e1")
    assert first is not None
    assert await rows.create(project_id=space.project_id, number="+15125550100") is None
    await rows.create(project_id=space.project_id, number="+15125550101", endpoint_id="e1")
    again = NumberRows(engine)
    await again.load()
    assert again.of_endpoint("e1") == ("+15125550100", "+15125550101")
    await again.change(first.id, endpoint_id=None)
    assert again.of_endpoint("e1") == ("+15125550101",)
    await again.remove(first.id)
    assert again.find("+15125550100") is None
    assert database.rows("select count(*) from phone_numbers") == [(1,)]
