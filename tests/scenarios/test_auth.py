"""Who is it? As devices of the house hear it (SIGNALLING.md section 3, credentials)."""

import base64
from dataclasses import replace

import pytest

from offhook.sip.events import UsageId
from offhook.sip.fields import parse_auth
from offhook.sip.flow import Transport
from offhook.sip.message import Request, Response
from tests.support.enrolled import Enrolled
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP, make_request
from tests.support.nodes import DOMAIN, authorized, make_account


def nonce_of(answer: Response) -> str:
    return parse_auth(answer.headers.get("WWW-Authenticate") or "")[1]["nonce"]


def stale(answer: Response) -> bool:
    return "stale=true" in (answer.headers.get("WWW-Authenticate") or "")


def next_hop(request: Request, number: int, nc: int) -> Request:
    """The same credentials with another count, in a request of its own."""
    value = (request.headers.get("Authorization") or "").replace("nc=00000001", f"nc={nc:08x}")
    via = f"{request.headers.get('Via')}{number}"
    headers = request.headers.replaced("Authorization", value).replaced("Via", via)
    return replace(request, headers=headers.replaced("CSeq", f"{number} REGISTER"))


def test_auth_nonce_other_flow_stale(link: Link) -> None:
    house = House(link)
    bob, elsewhere = Enrolled(house, "bob", transport=Transport.UDP), Enrolled(house, "bob", "new", Transport.UDP)
    request = bob.ask_to_register()
    challenge = bob.send(request)
    proof = authorized(request, challenge, "bob")
    # 1. the right answer on another flow: told that it was right, with a nonce of that flow (AUTH-3, AUTH-5)
    answer = elsewhere.send(proof)
    assert (answer.status, stale(answer)) == (401, True)
    assert nonce_of(answer) != nonce_of(challenge)
    # 2. a guess there is told nothing
    guess = elsewhere.send(authorized(elsewhere.ask_to_register(), challenge, "bob", "guess"))
    assert (guess.status, stale(guess)) == (401, False)
    # 3. neither has used the nonce up where it belongs
    assert bob.send(authorized(bob.ask_to_register(), challenge, "bob")).status == 200


def test_auth_nc_replayed(link: Link) -> None:
    house = House(link)
    bob = Enrolled(house, "bob", transport=Transport.UDP)
    request = bob.ask_to_register()
    proof = authorized(request, bob.send(request), "bob")
    assert bob.send(proof).status == 200
    # 1. who listened and sends the same credentials in a request of his own gets a challenge (AUTH-4)
    replay = next_hop(proof, 50, 1)
    answer = bob.send(replay)
    assert (answer.status, stale(answer)) == (401, True)
    # 2. the device itself goes on with the same nonce and the next count
    with_next = authorized(request, answer, "bob", nc=1)
    assert bob.send(next_hop(with_next, 60, 1)).status == 200
    # 3. nothing is kept of a challenge that nobody answered
    remembered = len(house.node.authenticator._nonces)
    for _ in range(50):
        link.run(0.25)
        bob.send(bob.ask_to_register())
    assert len(house.node.authenticator._nonces) == remembered


def test_auth_unknown_user_same_answer(link: Link) -> None:
    house = House(link)
    house.node.accounts["off"] = replace(make_account("off"), enabled=False)
    heard = {}
    for name, user in (("known", "bob"), ("unknown", "nobody"), ("disabled", "off"), ("expired", "1000:nobody")):
        device = Enrolled(house, "bob", name, Transport.UDP, auth_user=user, password="guess")
        answer = device.enrol()
        fields = [field for field, _ in answer.headers if field != "Via"]
        shape = list(parse_auth(answer.headers.get("WWW-Authenticate") or "")[1])
        heard[name] = (answer.status, answer.reason, fields, shape, stale(answer))
    # Status, words, fields and their order are the same for all (AUTH-7).
    assert heard["known"][0] == 401
    assert len({repr(one) for one in heard.values()}) == 1, heard


def test_auth_unknown_user_same_answer_to_invite(link: Link) -> None:
    house = House(link)
    answers = []
    for user in ("bob", "nobody"):
        phone = Enrolled(house, "bob", f"phone-{user}", Transport.UDP)
        phone.dial("echo")
        challenge = phone.final()
        assert challenge.status == 407
        invite = next(one for one in house.station.received if isinstance(one, Request) and one.method == "INVITE")
        house.station.received.clear()
        answer = phone.send(authorized(invite, challenge, user, "guess"))
        answers.append((answer.status, answer.reason, [name for name, _ in answer.headers if name != "Via"]))
    assert answers[0] == answers[1]
    assert answers[0][0] == 407


@pytest.mark.parametrize("transport", [Transport.WSS, Transport.TLS])
def test_auth_trusted_flow_not_challenged(link: Link, transport: Transport) -> None:
    house = House(link)
    bob = Enrolled(house, "bob", transport=transport)
    assert bob.enrol().status == 200
    # 1. neither a refresh nor a call is asked for credentials again (AUTH-9)
    assert bob.send(bob.ask_to_register()).status == 200
    bob.dial("echo")
    assert bob.final().status == 200
    bob.hang_up()
    # 2. unless the endpoint wants it so
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], challenge_every_invite=True)
    bob.call = UsageId("asked")
    bob.dial("echo")
    assert bob.final().status == 407
    assert bob.send(bob.ask_to_register()).status == 200
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], challenge_every_invite=False)
    # 3. after twelve hours it must prove itself again
    link.run(12 * 3600 + 1)
    assert bob.send(bob.ask_to_register()).status == 401
    assert bob.enrol().status == 200
    # 4. and at once when its password changes
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], credential_version=2)
    assert bob.send(bob.ask_to_register()).status == 401


def test_auth_udp_is_asked_every_time(link: Link) -> None:
    house = House(link)
    bob = Enrolled(house, "bob", transport=Transport.UDP)
    assert bob.enrol().status == 200
    assert bob.send(bob.ask_to_register()).status == 401


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.WSS])
def test_auth_hmac_password_expires_in_call(link: Link, transport: Transport) -> None:
    house = House(link)
    user = f"{int(link.now) + 200}:bob"
    password = house.node.authenticator.ephemeral_password(user).reveal()
    assert len(base64.b64decode(password)) == 32
    bob = Enrolled(house, "bob", transport=transport, auth_user=user, password=password)
    # 1. the binding ends with the password, not when the client asked (REG-9)
    answer = bob.enrol(Expires="3600")
    assert answer.status == 200
    assert ";expires=200" in (answer.headers.get("Contact") or "")
    # 2. a call of an hour begins
    alice = house.caller()
    alice.dial("bob")
    bob.respond(200, SDP)
    assert alice.final().status == 200
    link.run(210)
    assert bob.bound == []
    # 3. the end of the password is not heard in the call (AUTH-12)
    bob.ask("INFO", usage=bob.ringing)
    assert bob.answers("INFO")[-1].status < 500
    assert bob.answers("INFO")[-1].status not in (401, 403, 407)
    # 4. registering is over, with the word for it
    refused = bob.enrol()
    assert refused.status == 401
    assert '"token-expired ' in (refused.headers.get("Warning") or "")
    bob.hang_up(bob.ringing)
    assert alice.got("BYE") != []


def test_auth_13_in_dialog_from_elsewhere(link: Link) -> None:
    house = House(link)
    bob = Enrolled(house, "bob")
    assert bob.enrol().status == 200
    bob.dial("echo")
    assert bob.final().status == 200
    (dialog,) = list(house.node.endpoint._core.dialogs)
    # 1. somebody who knows Call-ID and tags, on a flow of his own: asked who he is
    thief = Enrolled(house, "alice", "thief")
    bye = make_request(
        "BYE", "sip:echo@example.com", branch="z9hG4bKthief", cseq=900, call_id=dialog.call_id,
        from_="<sip:bob@example.com>", from_tag=dialog.remote_tag,
        to="<sip:echo@example.com>", to_tag=dialog.local_tag,
    )  # fmt: skip
    challenge = thief.send(bye)
    assert challenge.status == 407
    # 2. proven to be somebody else: refused, and the call stands
    answer = thief.send(authorized(bye, challenge, "alice"))
    assert answer.status == 403
    assert len(house.node.switchboard.calls()) == 1
    # 3. proven to be the same endpoint: served, from wherever it comes
    again = replace(bye, headers=bye.headers.replaced("Via", f"{bye.headers.get('Via')}x"))
    assert thief.send(authorized(again, thief.send(again), "bob")).status == 200
    link.run(1)
    assert house.node.switchboard.calls() == []


def same_number(request: Request, answer: Response) -> Request:
    """The request with credentials and a new branch, under the CSeq of the challenged one, as some old phones do."""
    return replace(
        request,
        headers=authorized(request, answer, "bob").headers.replaced("CSeq", request.headers.get("CSeq") or ""),
    )


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.WSS])
def test_credentials_under_the_same_cseq_are_no_merged_request(link: Link, transport: Transport) -> None:
    """RFC 3261 8.2.2.2 speaks of ongoing requests: one that was answered with a challenge is none."""
    house = House(link)
    bob = Enrolled(house, "bob", transport=transport)
    request = bob.ask_to_register()
    # 1. REGISTER after 401
    assert bob.send(same_number(request, bob.send(request))).status == 200
    # 2. INVITE after 407, from a device that is known
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], challenge_every_invite=True)
    invite = make_request(
        "INVITE",
        f"sip:echo@{DOMAIN}",
        branch="z9hG4bKsame",
        cseq=7,
        call_id="same",
        from_=f"<sip:bob@{DOMAIN}>",
        to=f"<sip:echo@{DOMAIN}>",
        Contact=f"<{bob.contact}>",
        body=SDP,
    )
    challenge = bob.send(invite)
    assert challenge.status == 407
    proven = same_number(invite, challenge)
    bob.send(proven)
    link.run(0.1)
    assert bob.final().status == 200
    # 3. the same by another way while that is served is merged all the same, proof or not
    for number, one in enumerate((proven, invite)):
        copy = replace(one, headers=one.headers.replaced("Via", f"{one.headers.get('Via')}-other-{number}"))
        assert bob.send(copy).status == 482
