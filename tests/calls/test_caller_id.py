"""What a carrier's side sees of the caller, and what we make of theirs (TRK-8, RFC 3323, 3325)."""

from typing import Any

import pytest

from offhook.calls.caller_id import Caller, CallerNumbers, Shown, identity_of, show, shown_inside
from offhook.calls.trunk import Trunk
from tests.calls.test_numbers import trunk
from tests.support.messages import make_request

OWN, OTHER, FOREIGN = "+15125550100", "+15125550199", "+12025550100"
NUMBERS = CallerNumbers((OWN,), frozenset({OWN, OTHER}), OTHER)
ALICE = Caller("Alice")


def shown(caller: Caller = ALICE, numbers: CallerNumbers = NUMBERS, asked: str | None = None, **rules: Any) -> Shown:
    fields = {"caller_id": rules} if rules else {}
    return show(trunk(**fields), caller, numbers, asked, lambda number: number)


def field(one: Shown, name: str) -> str:
    return dict(one.fields).get(name, "")


def test_order_request_endpoint_space_anonymous() -> None:
    assert shown(asked=OTHER).number == OTHER
    assert shown(numbers=CallerNumbers((OWN,), frozenset({OWN, OTHER}), OTHER, OTHER)).number == OTHER
    assert shown().number == OWN
    assert shown(numbers=CallerNumbers((), frozenset({OTHER}), OTHER)).number == OTHER
    nothing = shown(numbers=CallerNumbers())
    assert nothing.from_ == '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert field(nothing, "Privacy") == "id"


def test_a_number_that_is_not_ours_is_replaced_and_named() -> None:
    one = shown(asked=FOREIGN)
    assert (one.number, one.refused) == (OWN, FOREIGN)


def test_fixed_is_always_that_number() -> None:
    assert shown(asked=OTHER, policy="fixed", number=FOREIGN).number == FOREIGN


def test_passthrough_shows_the_original_caller_of_a_forwarded_call_and_endpoint_does_not() -> None:
    original = Caller("", False, FOREIGN)
    assert shown(original, policy="passthrough").number == FOREIGN
    assert shown(original).number == OWN, "the forwarder's own number"


@pytest.mark.parametrize(
    ("identity", "name"), [("pai", "P-Asserted-Identity"), ("rpid", "Remote-Party-ID"), ("none", "")]
)
def test_identity_as_the_trunk_wants_it(identity: str, name: str) -> None:
    one = shown(identity=identity)
    assert one.from_ == f'"Alice" <sip:{OWN}@carrier.example>'
    assert [each for each, _ in one.fields] == ([name] if name else [])
    if identity == "rpid":
        assert field(one, name).endswith(";party=calling;screen=yes;privacy=off")


def test_withheld_is_anonymous_with_the_billing_identity_beside_it() -> None:
    one = shown(Caller("Alice", withheld=True))
    assert one.from_ == '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert field(one, "Privacy") == "id"
    assert field(one, "P-Asserted-Identity") == f"<sip:{OWN}@carrier.example>"
    assert "Alice" not in repr(one.fields)
    assert "privacy=full" in field(shown(Caller("", True), identity="rpid"), "Remote-Party-ID")


def test_no_name_where_the_trunk_wants_none() -> None:
    assert shown(name=False).from_ == f"<sip:{OWN}@carrier.example>"


def test_fixed_parts_of_from() -> None:
    one = show(trunk(from_user="line1", from_domain="ims.example"), ALICE, NUMBERS, None, lambda number: number)
    assert one.from_ == '"Alice" <sip:line1@ims.example>'
    assert field(one, "P-Asserted-Identity") == f'"Alice" <sip:{OWN}@ims.example>'


# what a carrier says


def said(**extra: str) -> tuple[str | None, str, bool]:
    request = make_request("INVITE", from_='"Bob B." <sip:+14155550123@carrier.example>', **extra)
    one = identity_of(request, lambda text: text if text.startswith("+") else None)
    return one.number, one.name, one.withheld


def test_pai_then_rpid_then_from() -> None:
    assert said() == ("+14155550123", "Bob B.", False)
    assert said(Remote_Party_ID='"R" <sip:+14155550124@c>;privacy=off')[:2] == ("+14155550124", "R")
    both = {"Remote_Party_ID": "<sip:+14155550124@c>", "P_Asserted_Identity": '<tel:+14155550125>, "P" <sip:x@c>'}
    assert said(**both)[0] == "+14155550125"


@pytest.mark.parametrize(
    "extra", [{"Privacy": "id"}, {"Privacy": "user;critical"}, {"Remote_Party_ID": "<sip:+1415@c>;privacy=full"}]
)
def test_a_withheld_caller_stays_unknown_to_the_device(extra: dict[str, str]) -> None:
    request = make_request("INVITE", from_="<sip:+14155550123@carrier.example>", **extra)
    one = identity_of(request, lambda text: text)
    assert shown_inside(one, "example.com") == '"Anonymous" <sip:anonymous@anonymous.invalid>'


def test_privacy_none_is_no_privacy() -> None:
    assert said(Privacy="none")[2] is False


def test_privacy_of_header_fields_does_not_hide_the_caller() -> None:
    assert said(Privacy="header")[2] is False
    assert said(Privacy="header;id")[2] is True


def test_a_caller_without_number_keeps_his_name_and_nothing_that_breaks_from() -> None:
    request = make_request("INVITE", from_='"X" <sip:un%3Eknown%22@carrier.example>')
    assert shown_inside(identity_of(request, lambda text: None), "example.com") == '"X" <sip:unknown@example.com>'


def test_a_trunk_says_what_it_passes() -> None:
    one: Trunk = trunk(pass_headers=["Diversion", "X-*"])
    assert [one.passes(name) for name in ("diversion", "X-Anything", "User-to-User")] == [True, True, False]
