"""Names of guests: they say what they are, and nothing else is read as one."""

import pytest

from offhook.sip.guests import GUEST, INVITEE, WIDGET, Guest, read, write

A, B, W = (f"0199aaaa-0000-7000-8000-00000000000{digit}" for digit in "123")


@pytest.mark.parametrize(
    "guest", [Guest(GUEST, (A, B)), Guest(INVITEE, (A,)), Guest(WIDGET, (B,), W), Guest(GUEST, (A,) * 10)]
)
def test_a_name_says_all(guest: Guest) -> None:
    name = write(guest, "0f0f0f0f")
    assert read(name) == guest
    assert name.startswith("guest-0f0f0f0f-")
    assert len(name) <= 250


@pytest.mark.parametrize(
    "name",
    [
        "", "guest", "guest-1", "guest-1-", "alice", "guest-00000000-AAAA", "guest-00000000-!!!!", "GUEST-00000000-AA",
        write(Guest(GUEST, (A,)), "00000000")[:-1], "guest-0-" + "A" * 1000,
    ],
)  # fmt: skip
def test_any_other_name_is_nobody_s(name: str) -> None:
    assert read(name) is None


def test_a_widget_has_one_address() -> None:
    assert read(write(Guest(WIDGET, (A, B), W), "00000000")) is None
