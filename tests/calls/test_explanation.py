"""A failed call in one sentence."""

import pytest

from offhook.calls.catalogue import CATALOGUE
from offhook.calls.explanation import explanation, sentence
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP


@pytest.mark.parametrize(
    ("what", "remedy", "said"),
    [
        ("bob is not registered", "Open the phone", "bob is not registered; open the phone."),
        ("It broke.", "TLS helps.", "It broke; TLS helps."),
        ("A party hung up", "Nothing to mend", "A party hung up."),
    ],
)
def test_a_sentence_has_one_stop(what: str, remedy: str, said: str) -> None:
    assert sentence(what, remedy) == said


def test_every_failure_of_the_catalogue_can_be_said() -> None:
    for row in CATALOGUE.values():
        text = sentence(row.cause, row.remedy)
        assert text.endswith(".")
        assert ";" in text or row.severity == "info" or row.remedy.startswith("Nothing"), row.code


def test_a_call_that_was_talked_needs_none(link: Link) -> None:
    house = House(link)
    alice, _bob = house.talking()
    assert explanation(house.call()) == ""
    alice.hang_up()
    assert explanation(house.call()) == ""


def test_a_busy_callee(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", SDP)
    bob.respond(486)
    assert explanation(house.call()).startswith("bob is busy")
