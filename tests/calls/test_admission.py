"""Who may call: names proved by flow or digest, the own From, limits."""

from dataclasses import replace

import pytest

from offhook.calls.admission import Admission
from offhook.sip.flow import Flow, Transport
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request, Response
from tests.support.messages import make_flow, make_request
from tests.support.nodes import DOMAIN, authorized, make_account, make_authenticator

CLEAR = make_flow()
ALICE = make_account("alice")
TLS = make_flow("tls", Transport.TLS)


def admission(call_rate: float = 10.0) -> Admission:
    return Admission(make_authenticator(), frozenset({DOMAIN}), call_rate)


def invite(from_: str = "<sip:alice@example.com>") -> Request:
    return make_request("INVITE", from_=from_)


def proven(door: Admission, flow: Flow, account: Account | None, password: str = "zanzibar") -> Headers | None:
    first = Response(407, "", door.challenge(make_request("INVITE"), flow, 0))
    return door.prove(authorized(invite(), first, "alice", password), flow, account, 0)


def test_a_stranger_claims_nothing() -> None:
    assert admission().claimed(invite(), TLS, 0) is None


def test_a_proof_is_remembered_for_the_flow_until_the_account_changes() -> None:
    door = admission()
    assert proven(door, TLS, ALICE) is None
    # 1. the next INVITE needs no credentials
    assert door.claimed(invite(), TLS, 1) == "alice"
    assert door.prove(invite(), TLS, ALICE, 1) is None
    # 2. on this flow alone
    assert door.claimed(invite(), make_flow("other", Transport.TLS), 1) is None
    # 3. new credentials, switched off, or gone: a challenge again
    for account in (replace(ALICE, credential_version=2), replace(ALICE, enabled=False), None):
        assert door.prove(invite(), TLS, account, 2) is not None


def test_a_wrong_password_and_nobody_hear_the_same() -> None:
    told = [proven(admission(), TLS, account, "wrong") for account in (ALICE, None)]
    names = [[name for name, _ in headers] for headers in told if headers is not None]
    assert names == [["Proxy-Authenticate"] * len(names[0])] * 2


@pytest.mark.parametrize(
    ("from_", "allowed"),
    [
        ("<sip:alice@example.com>", True),
        ('"Alice" <sip:ALICE@example.com>', True),
        ("<sip:%61lice@example.com>", True),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', True),
        ("<sip:anonymous@example.com>", True),
        ("<sip:bob@example.com>", False),
        ("<sip:alice@elsewhere.example>", False),
        ("<sip:example.com>", False),
    ],
)
def test_from(from_: str, allowed: bool) -> None:
    refused = admission().refuse(invite(from_), CLEAR, ALICE, 0, 0)
    assert (refused is None) is allowed
    if refused is not None:
        assert (refused.row.code, refused.status) == ("from_not_yours", 403)


def test_limits_of_the_account() -> None:
    door = admission()
    clear = door.refuse(invite(), CLEAR, replace(ALICE, encryption="required"), 0, 0)
    assert clear is not None
    assert (clear.status, clear.row.code) == (403, "tls_required")
    assert (
        door.refuse(invite(), make_flow(transport=Transport.WSS), replace(ALICE, encryption="required"), 0, 0) is None
    )
    off = door.refuse(invite(), CLEAR, replace(ALICE, enabled=False), 0, 0)
    assert off is not None
    assert off.row.code == "endpoint_disabled"
    full = door.refuse(invite(), CLEAR, replace(ALICE, max_calls=2), 2, 0)
    assert full is not None
    assert (full.row.code, full.status) == ("endpoint_at_call_limit", 486)
    assert door.refuse(invite(), CLEAR, replace(ALICE, max_calls=2), 1, 0) is None


def test_a_blocked_device_is_known_by_its_contact_or_by_its_flow() -> None:
    door, name = admission(), "0199aa11-0000-7000-8000-00000000000a"
    account = replace(ALICE, blocked_devices=frozenset({name}))

    def code(contact: str) -> str:
        request = invite()
        headers = Headers([*(one for one in request.headers if one[0] != "Contact"), ("Contact", contact)])
        wrong = door.refuse_sender(replace(request, headers=headers), CLEAR, account)
        return wrong.row.code if wrong is not None else ""

    # 1. RFC 5626: the instance id; in any case of its letters
    assert code(f'<sip:a@x.invalid>;+sip.instance="<urn:uuid:{name.upper()}>"') == "device_blocked"
    # 2. RFC 5627: the public GRUU
    assert code(f"<sip:alice@example.com;gr=urn:uuid:{name}>") == "device_blocked"
    # 3. another device, and one that says nothing
    assert code('<sip:a@x.invalid>;+sip.instance="<urn:uuid:other>"') == ""
    assert code("<sip:a@x.invalid>") == code("not a contact <") == ""


def test_calls_a_second_by_account() -> None:
    door, carol = admission(call_rate=2), make_account("carol")
    codes = [door.refuse(invite(), CLEAR, ALICE, 0, 0) for _ in range(6)]
    assert [one.row.code if one else "" for one in codes] == [""] * 4 + ["calls_per_second_exceeded"] * 2
    # 1. others have a rate of their own
    assert door.refuse(invite("<sip:carol@example.com>"), CLEAR, carol, 0, 0) is None
    # 2. half a second brings one more
    assert door.refuse(invite(), CLEAR, ALICE, 0, 0.5) is None
    assert door.refuse(invite(), CLEAR, ALICE, 0, 0.5) is not None
