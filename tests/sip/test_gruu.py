"""REG-13: URIs that mean one instance, and what a temporary one keeps to itself."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip.domains import Domains, qualified
from offhook.sip.gruu import Gruu, Gruus, nameable
from offhook.sip.location import Binding
from offhook.sip.seal import LONGEST, Sealer
from offhook.sip.uri import parse_uri
from tests.support.ids import SeededIds
from tests.support.messages import make_flow

INSTANCE = "<urn:uuid:00000000-0000-1000-8000-000a95a0e128>"
GRUUS = Gruus(b"key", "example.com")
BINDING = Binding(
    "sip:bob@example.com", parse_uri("sip:bob@x.invalid"), make_flow(), "call-id", 1, 1e9, instance=INSTANCE
)


def test_a_public_one_names_its_instance() -> None:
    text = GRUUS.public("bob", INSTANCE)
    assert text == "sip:bob@example.com;gr=urn:uuid:00000000-0000-1000-8000-000a95a0e128"
    found = GRUUS.read(parse_uri(text))
    assert found == Gruu("bob", INSTANCE.strip("<>"))
    assert found.means(BINDING)
    assert not found.means(replace(BINDING, instance=None))
    assert not found.means(replace(BINDING, instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e129>"))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=64))
def test_any_name_comes_back(user: str) -> None:
    domains = Domains()
    domains.use({"acme.example": "acme.example"}, {}, {})
    gruus = Gruus(b"key", "example.com", domains)
    for domain in ("", "acme.example"):
        name = qualified(user, domain)
        for text in (gruus.public(name, INSTANCE), gruus.temporary(name, INSTANCE, "c", SeededIds(1))):
            found = gruus.read(parse_uri(text))
            assert found is not None
            assert found.user == name
            assert parse_uri(text).host == (domain or "example.com")


@pytest.mark.parametrize(
    "instance", [INSTANCE, INSTANCE.upper().replace("URN:UUID", "urn:uuid"), "urn:x-mac:0012", "x"]
)
def test_a_temporary_one_is_good_under_its_call_id_only(instance: str) -> None:
    binding = replace(BINDING, instance=instance)
    found = GRUUS.read(parse_uri(GRUUS.temporary("bob", instance, "call-id", SeededIds(1))))
    assert found is not None
    assert found.means(binding)
    assert not found.means(replace(binding, call_id="another"))


def test_temporary_ones_tell_nothing_and_are_never_the_same() -> None:
    ids = SeededIds(1)
    texts = {GRUUS.temporary("bob", INSTANCE, "call-id", ids) for _ in range(50)}
    assert len(texts) == 50
    assert not any("bob" in text or "0a95" in text for text in texts)
    # No two share what stands where the owner is.
    assert len({text[16:30] for text in texts}) == 50


def test_what_we_did_not_seal_means_nothing() -> None:
    text = GRUUS.temporary("bob", INSTANCE, "call-id", SeededIds(1))
    assert Gruus(b"another key", "example.com").read(parse_uri(text)) is None
    at = len("sip:")
    other = "A" if text[at + 12] != "A" else "B"
    assert GRUUS.read(parse_uri(text[: at + 12] + other + text[at + 13 :])) is None
    assert GRUUS.read(parse_uri("sip:bob@example.com;gr")) is None
    assert GRUUS.read(parse_uri("sip:bob@example.com")) is None


def test_instances_that_a_uri_cannot_name_get_none() -> None:
    assert nameable(INSTANCE)
    for instance in (None, "", "<>", "a b", 'a"b', "a%41", "x" * 201, "é"):
        assert not nameable(instance)


@given(st.binary(max_size=200), st.binary(min_size=8, max_size=8))
def test_seals_open_again(data: bytes, nonce: bytes) -> None:
    assert Sealer(b"key").open(Sealer(b"key").seal(data, nonce)) == data


@given(st.text(max_size=120))
def test_any_other_text_is_no_seal(text: str) -> None:
    assert Sealer(b"key").open(text) is None


def test_long_texts_are_not_looked_at() -> None:
    assert Sealer(b"key").open(Sealer(b"key").seal(bytes(LONGEST), bytes(8))) is None
