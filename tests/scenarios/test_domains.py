"""Several domains on one server (API.md section 3): equal user names, names within a domain, calls from one to the other."""

from dataclasses import replace

import pytest

from offhook.calls.outbound import Outbound, OutboundSettings
from offhook.calls.trunks import Trunks
from offhook.server.number_plan import WorldPlan
from offhook.sip.domains import Domains
from offhook.sip.events import UsageId
from offhook.sip.fields import parse_name_addr
from offhook.sip.flow import Transport
from offhook.sip.location import Forward
from offhook.sip.message import Request, Response
from offhook.sip.uri import parse_uri
from tests.support.enrolled import Enrolled
from tests.support.house import House, Phone
from tests.support.ids import SeededIds
from tests.support.link import Link
from tests.support.messages import SDP, make_flow, make_request
from tests.support.nodes import DOMAIN, authorized, make_account

ACME, HOOLI = "acme.example.net", "hooli.example.net"
HOSTS = frozenset({DOMAIN, "127.0.0.2", ACME, HOOLI, "pbx.acme.example"})


def two(link: Link) -> House:
    """A server of three domains; each has a bob, acme an alice too."""
    domains = Domains()
    hosts = {ACME: ACME, HOOLI: HOOLI, "pbx.acme.example": ACME}
    domains.use(hosts, {ACME: ACME, HOOLI: HOOLI}, {HOOLI: "DE"})
    house = House(link, hosts=HOSTS, domains=domains)
    for user, domain in (("bob", ACME), ("bob", HOOLI), ("alice", ACME)):
        house.node.accounts[f"{user}@{domain}"] = make_account(f"{user}@{domain}", realm=domain)
    return house


def sender(phone: Phone) -> str:
    return str(parse_name_addr(phone.invite.headers.get("From") or "").uri)


def finish(house: House, *phones: Phone) -> None:
    phones[0].hang_up()
    house.assert_nothing_left(*phones)


def test_a_name_means_whom_the_dialled_domain_calls_so(link: Link) -> None:
    house = two(link)
    alice = house.caller(f"alice@{ACME}", name="alice")
    ours, theirs, hooli = (
        house.callee(f"bob@{ACME}", "acme-bob"),
        house.callee("bob"),
        house.callee(f"bob@{HOOLI}", "h"),
    )
    alice.dial_uri(f"sip:bob@{ACME}")
    assert ours.got("INVITE"), "1. the bob of the caller's domain rings"
    assert not theirs.got("INVITE"), "2. and no other of that name"
    assert not hooli.got("INVITE")
    assert sender(ours) == f"sip:alice@{ACME}", "3. he sees the caller in her domain"
    assert parse_name_addr(ours.invite.headers.get("To") or "").uri.host == ACME
    ours.respond(200, SDP)
    assert alice.final().status == 200
    assert (house.call().from_name, house.call().to_name) == ("alice", "bob"), "4. within a domain names stand alone"
    finish(house, alice, ours, theirs, hooli)


@pytest.mark.parametrize("host", [HOOLI, DOMAIN])
def test_a_full_uri_reaches_another_domain(link: Link, host: str) -> None:
    house = two(link)
    name = f"bob@{HOOLI}" if host == HOOLI else "bob"
    alice, bob = house.caller(f"alice@{ACME}", name="alice"), house.callee(name, "their-bob")
    near = house.callee(f"bob@{ACME}", "near-bob")
    alice.dial_uri(f"sip:bob@{host}")
    bob.respond(200, SDP)
    assert alice.final().status == 200, "1. it is answered"
    assert sender(bob) == f"sip:alice@{ACME}", "2. the caller's domain is seen"
    assert not near.got("INVITE")
    assert (house.call().from_name, house.call().to_name) == ("alice", f"bob@{host}"), "3. as in the log"
    finish(house, alice, bob, near)


def test_an_alias_means_its_domain(link: Link) -> None:
    house = two(link)
    alice, bob = house.caller(f"alice@{ACME}", name="alice"), house.callee(f"bob@{ACME}", "bob")
    alice.dial_uri("sip:bob@pbx.acme.example")
    bob.respond(200, SDP)
    assert alice.final().status == 200
    finish(house, alice, bob)


def test_forwarding_names_are_those_of_the_forwarder_s_domain(link: Link) -> None:
    house = two(link)
    bob = house.node.accounts[f"bob@{HOOLI}"]
    house.node.accounts[f"bob@{HOOLI}"] = replace(bob, forward=Forward(always="carol"))
    house.node.accounts[f"carol@{HOOLI}"] = make_account(f"carol@{HOOLI}", realm=HOOLI)
    alice = house.caller(f"alice@{ACME}", name="alice")
    carol, other = house.callee(f"carol@{HOOLI}", "hooli-carol"), house.callee("carol")
    alice.dial_uri(f"sip:bob@{HOOLI}")
    assert carol.got("INVITE"), "1. the carol of his domain"
    assert not other.got("INVITE"), "2. not the one of the server's"
    carol.respond(200, SDP)
    finish(house, alice, carol, other)


def test_conferences_of_one_name_are_one_in_each_domain(link: Link) -> None:
    house = two(link)
    first, second = house.caller(f"alice@{ACME}", name="first"), house.caller(f"bob@{HOOLI}", name="second")
    first.dial_uri(f"sip:conference-all@{ACME}")
    second.dial_uri(f"sip:conference-all@{HOOLI}")
    assert (first.final().status, second.final().status) == (200, 200)
    assert len(house.node.switchboard.index.rooms) == 2
    first.hang_up()
    second.hang_up()
    house.assert_nothing_left(first, second)


# ---- registration


def send(house: House, request: Request) -> Response:
    house.station.feed(request, make_flow("phone", Transport.UDP))
    answer = house.station.sent[-1]
    assert isinstance(answer, Response)
    return answer


def register(house: House, user: str, host: str, realm: str, password: str = "zanzibar", branch: str = "1") -> Response:
    """REGISTER at a host, the challenge, which is of that realm, and the answer to the digest."""
    address = f"<sip:{user}@{host}>"
    request = make_request(
        "REGISTER", f"sip:{host}", to=address, from_=address, branch=f"z9hG4bK{branch}", call_id=f"{host}-{branch}",
        Contact=f'<sip:{user}@127.0.0.1:5070>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-00000000000{branch}>"',
        Supported="gruu",
    )  # fmt: skip
    asked = send(house, request)
    assert asked.status == 401
    assert f'realm="{realm}"' in (asked.headers.get("WWW-Authenticate") or ""), "the realm is the domain's own"
    house.link.run(0.3)
    return send(house, authorized(request, asked, user, password))


def test_each_domain_registers_its_own_bob(link: Link) -> None:
    house = two(link)
    answers = [
        register(house, "bob", host, realm, branch=branch)
        for host, realm, branch in ((ACME, ACME, "1"), (HOOLI, HOOLI, "2"), (DOMAIN, DOMAIN, "3"))
    ]
    assert [one.status for one in answers] == [200, 200, 200]
    aors = {f"sip:bob@{host}" for host in (ACME, HOOLI, DOMAIN)}
    assert {aor for aor, found in house.node.bindings.items() if len(found) == 1} == aors, (
        "1. three addresses of record"
    )
    for host, answer in zip((ACME, HOOLI, DOMAIN), answers, strict=True):
        contact = answer.headers.get("Contact") or ""
        assert f'pub-gruu="sip:bob@{host};gr=' in contact, "2. GRUUs of the domain"
        assert f'@{host};gr"' in contact
    alias = register(house, "bob", "pbx.acme.example", ACME, branch="4")
    assert alias.status == 200
    assert len(house.node.bindings[f"sip:bob@{ACME}"]) == 2, "3. an alias binds the domain's own address"


def test_a_password_of_one_domain_is_none_in_another(link: Link) -> None:
    house = two(link)
    house.node.accounts[f"bob@{HOOLI}"] = make_account(f"bob@{HOOLI}", "another secret", realm=HOOLI)
    assert register(house, "bob", HOOLI, HOOLI).status == 401, "1. the same user name, another account"
    assert register(house, "alice", HOOLI, HOOLI, branch="2").status == 401, "2. nobody of hooli is called alice"
    unknown = house.node.authenticator.ephemeral_password("9999999999:bob", ACME).reveal()
    here = house.node.authenticator.ephemeral_password("9999999999:bob", HOOLI).reveal()
    canonical = house.node.authenticator.ephemeral_password("9999999999:bob").reveal()
    assert len({unknown, here, canonical}) == 3, "3. passwords that expire are the domain's too"


def test_numbers_are_read_by_the_domain_s_country() -> None:
    domains = Domains()
    domains.use({HOOLI: HOOLI}, {}, {HOOLI: "DE"})
    ids = SeededIds(1)
    trunks = Trunks(DOMAIN, ids, b"key")
    out = Outbound(OutboundSettings(), HOSTS, WorldPlan(), trunks, ids, domains)
    assert out.number(parse_uri(f"sip:030123456@{HOOLI}")) == "+4930123456"
    assert out.number(parse_uri(f"sip:5125550100@{DOMAIN}")) == "+15125550100"
    assert out.number(parse_uri(f"sip:110@{HOOLI}")) == "110", "an emergency number of that country"


def test_an_absolute_name_is_the_same_domain(link: Link) -> None:
    """RFC 1034 section 3.1, RFC 3263 section 4: `example.com.` is `example.com`, and no foreign domain."""
    house = two(link)
    phone = Enrolled(house, "bob", "absolute", Transport.UDP)
    request = phone.ask_to_register()
    address = f"<sip:bob@{DOMAIN}.>"
    headers = request.headers.replaced("To", address).replaced("From", f"{address};tag=1")
    request = replace(request, uri=parse_uri(f"sip:{DOMAIN}."), headers=headers)
    # 1. a device registers with it, and is bound where others look
    assert phone.send(authorized(request, phone.send(request), "bob")).status == 200
    assert phone.bound
    # 2. a call to it, or to another of our domains so written, stays in the house
    alice, hooli = house.caller("alice"), house.callee(f"bob@{HOOLI}", "h")
    alice.dial_uri(f"sip:bob@{DOMAIN.upper()}.")
    assert phone.got("INVITE")
    alice.cancel()
    alice.call = UsageId("second")
    alice.dial_uri(f"sip:bob@{HOOLI}.:5060")
    hooli.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    # 3. and the binding ends as any other
    house.assert_nothing_left(alice, phone, hooli, seconds=4000)
