"""EVT-1 to EVT-4: busy lamps, presence, mailboxes and registrations, from SUBSCRIBE to the last NOTIFY."""

import itertools
from dataclasses import replace

import pytest

from offhook.calls.commands import SetMailbox
from offhook.sip.config import SubscriptionLimits
from offhook.sip.effects import Send
from offhook.sip.events import BindingsChanged, DeviceReturned
from offhook.sip.flow import Transport
from offhook.sip.location import Binding, Change, Changed
from offhook.sip.message import Response
from offhook.sip.uri import parse_uri
from tests.support.house import House, Phone
from tests.support.lamp import DIALOG, Lamp
from tests.support.link import Link
from tests.support.messages import SDP, make_request
from tests.support.nodes import DOMAIN

BOB = f"sip:bob@{DOMAIN}"


def grouped(house: House, *names: str) -> None:
    """They may take each other's calls."""
    for name in names:
        house.node.accounts[name] = replace(house.node.accounts[name], pickup_group="sales")


def slug(response: Response) -> str:
    return (response.headers.get("Warning") or '399 x "').split('"')[1].split(" ")[0]


# dialog
@pytest.mark.ladder
def test_a_lamp_follows_a_call(link: Link) -> None:
    """EVT-1: the full state each time, version by version, trying, early, confirmed, terminated."""
    house = House(link)
    lamp = Lamp(house, "carol")
    answer = lamp.subscribe("bob")
    assert (answer.status, answer.headers.get("Expires")) == (200, "3600")
    assert lamp.states == [[]], "the first NOTIFY comes at once, even if empty (EVT-3)"
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    link.run(1)
    bob.respond(180)
    link.run(1)
    bob.respond(200, SDP)
    link.run(1)
    alice.hang_up()
    link.run(2)
    assert lamp.states == [[], ["trying"], ["early"], ["confirmed"], ["terminated"]]
    versions = [text.split('version="')[2].split('"')[0] for text in lamp.texts]
    assert versions == ["0", "1", "2", "3", "4"]
    assert all('state="full"' in text and f'entity="{BOB}"' in text for text in lamp.texts)
    assert 'direction="recipient"' in lamp.texts[-1]


def test_at_most_one_notify_a_second(link: Link) -> None:
    house = House(link)
    lamp = Lamp(house, "carol")
    lamp.subscribe("bob")
    alice, bob = house.caller(), house.callee()
    link.run(2)
    for number in range(5):
        alice.call = f"call-{number}"  # type: ignore[assignment]
        alice.dial("bob")
        bob.respond(180)
        bob.respond(486)
    times = [step.time for step in link.steps if step.text == "NOTIFY"]
    assert all(after - before >= 0.999 for before, after in itertools.pairwise(times))
    link.run(3)
    assert lamp.states[-1] in ([], ["terminated"]), "and the last state is told in the end"


def test_who_is_spoken_to_is_shown_with_permission_only(link: Link) -> None:
    house = House(link)
    stranger, friend = Lamp(house, "carol"), Lamp(house, "alice")
    grouped(house, "bob", "alice")
    friend.connect()
    stranger.subscribe("bob")
    friend.subscribe("bob")
    caller, bob = house.caller("carol"), house.callee()
    caller.dial("bob")
    bob.respond(180)
    link.run(2)
    assert stranger.states[-1] == friend.states[-1] == ["early"]
    assert "carol" not in stranger.texts[-1]
    assert "call-id" not in stranger.texts[-1]
    assert f"<identity>sip:carol@{DOMAIN}</identity>" in friend.texts[-1].replace(' display=""', "")


def test_the_right_to_watch_is_permission_too(link: Link) -> None:
    house = House(link)
    house.node.accounts["carol"] = replace(house.node.accounts["carol"], rights=frozenset({"watch"}))
    lamp = Lamp(house, "carol")
    lamp.subscribe("bob")
    house.talking()
    link.run(2)
    assert f"sip:alice@{DOMAIN}" in lamp.texts[-1]


def test_a_withheld_caller_stays_withheld(link: Link) -> None:
    house = House(link)
    grouped(house, "bob", "carol")
    lamp = Lamp(house, "carol")
    lamp.subscribe("bob")
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", Privacy="id")
    bob.respond(180)
    link.run(2)
    assert lamp.states[-1] == ["early"]
    assert "alice" not in lamp.texts[-1]


@pytest.mark.ladder
def test_pickup_by_the_ids_a_lamp_shows(link: Link) -> None:
    """RFC 5359 2.16: INVITE with Replaces naming what the dialog event showed takes the ringing call."""
    house = House(link)
    grouped(house, "bob", "carol")
    lamp = Lamp(house, "carol")
    lamp.subscribe("bob")
    alice, bob, carol = house.caller(), house.callee(), house.caller("carol")
    alice.dial("bob")
    bob.respond(180)
    link.run(2)
    shown = lamp.last.find(f"{DIALOG}dialog")
    assert shown is not None
    replaces = f"{shown.get('call-id')};to-tag={shown.get('local-tag')};from-tag={shown.get('remote-tag')}"
    carol.dial("bob", Replaces=f"{replaces};early-only")
    link.run(1)
    assert carol.final().status == 200
    assert alice.final().status == 200
    assert bob.got("CANCEL")
    link.run(2)
    assert lamp.states[-1] == ["terminated"]


# presence


def presence(lamp: Lamp) -> tuple[str, str]:
    text = lamp.texts[-1]
    return text.split("<basic>")[1].split("<")[0], text.split("<note>")[1].split("<")[0]


def test_presence_follows_devices_and_calls(link: Link) -> None:
    house = House(link)
    lamp = Lamp(house, "carol")
    lamp.subscribe("bob", "presence")
    assert presence(lamp) == ("closed", "Not registered")
    alice, bob = house.caller(), house.callee()
    link.run(1)
    registered(house, bob)
    assert presence(lamp) == ("open", "Available")
    alice.dial("bob")
    link.run(1)
    bob.respond(180)
    link.run(1)
    assert presence(lamp) == ("open", "Ringing")
    bob.respond(200, SDP)
    link.run(1)
    assert presence(lamp) == ("open", "On the phone")
    bob.hang_up(bob.ringing)
    link.run(1)
    assert presence(lamp) == ("open", "Available")
    assert lamp.last.tag == "{urn:ietf:params:xml:ns:pidf}presence"


def binding_of(phone: Phone, instance: str | None = None) -> Binding:
    contact = parse_uri(phone.contact)
    return Binding(f"sip:{phone.username}@{DOMAIN}", contact, phone.back, "reg-1", 1, link_time(phone) + 600, instance)


def link_time(phone: Phone) -> float:
    return phone.house.link.now


def registered(house: House, phone: Phone, change: Change = Change.REGISTERED, instance: str | None = None) -> None:
    """The registrar tells of one binding."""
    binding = binding_of(phone, instance)
    bindings = (binding,) if change.active else ()
    house.node.bindings[binding.aor] = bindings
    event = BindingsChanged(binding.aor, bindings, (Changed(binding, change),))
    house.apply(lambda: house.node.tell(event))
    house.link.run(1.5)


def test_a_publication_goes_before_what_is_derived(link: Link) -> None:
    """RFC 3903: entity tags, refresh, removal, expiry."""
    house = House(link)
    lamp, bob = Lamp(house, "carol"), Lamp(house, "bob")
    lamp.subscribe("bob", "presence")
    first = bob.publish(b"<presence>lunch</presence>", Expires="600")
    assert (first.status, first.headers.get("Expires")) == (200, "600")
    etag = first.headers.get("SIP-ETag") or ""
    link.run(1)
    assert lamp.texts[-1] == "<presence>lunch</presence>"
    changed = bob.publish(b"<presence>back</presence>", SIP_If_Match=etag, Expires="600")
    assert changed.status == 200
    link.run(1)
    assert lamp.texts[-1] == "<presence>back</presence>"
    assert bob.publish(b"", SIP_If_Match=etag).status == 412, "the old tag is gone"
    fresh = changed.headers.get("SIP-ETag") or ""
    count = len(lamp.texts)
    refreshed = bob.publish(b"", SIP_If_Match=fresh, Expires="600")
    link.run(2)
    assert (refreshed.status, len(lamp.texts)) == (200, count), "a refresh changes nothing to be told"
    latest = refreshed.headers.get("SIP-ETag") or ""
    assert bob.publish(b"", SIP_If_Match=latest, Expires="0").headers.get("Expires") == "0"
    link.run(2)
    assert presence(lamp) == ("closed", "Not registered")
    bob.publish(b"<presence>short</presence>", Expires="60")
    link.run(62)
    assert presence(lamp) == ("closed", "Not registered"), "it ran out"
    assert len(house.node.switchboard._watchers.publications) == 0


@pytest.mark.parametrize(
    ("body", "extra", "status"),
    [
        (b"", {}, 400),
        (b"<presence/>", {"Expires": "0"}, 400),
        (b"<presence/>", {"Expires": "10"}, 423),
        (b"<presence/>", {"Expires": "long"}, 400),
        (b"<presence/>", {"SIP_If_Match": "unknown"}, 412),
        (b"x" * 9000, {}, 413),
    ],
)
def test_publications_that_are_refused(link: Link, body: bytes, extra: dict[str, str], status: int) -> None:
    assert Lamp(House(link), "bob").publish(body, **extra).status == status


def test_only_ones_own_presence_can_be_published(link: Link) -> None:
    lamp = Lamp(House(link), "carol")
    answer = lamp.send("PUBLISH", "bob", Event="presence")
    assert (answer.status, slug(answer)) == (403, "watch-not-allowed")
    assert lamp.send("PUBLISH", "carol", Event="dialog").status == 489


# reg, message-summary


def test_registrations_are_told_to_their_own_endpoint(link: Link) -> None:
    """RFC 3680 and 5628: contacts with their GRUU, and once those that went."""
    house = House(link)
    lamp, bob = Lamp(house, "bob"), house.callee()
    house.node.bindings.clear()
    lamp.subscribe("bob", "reg")
    assert 'state="terminated"' in lamp.texts[-1]
    link.run(1)
    registered(house, bob, instance="<urn:uuid:00000000-0000-1000-8000-00000000cafe>")
    assert 'event="registered"' in lamp.texts[-1]
    assert f'<gr:pub-gruu uri="{BOB};gr=urn:uuid:00000000-0000-1000-8000-00000000cafe"/>' in lamp.texts[-1]
    registered(house, bob, Change.FLOW_LOST)
    assert 'state="terminated" event="deactivated"' in lamp.texts[-1]
    registered(house, bob)
    assert "deactivated" not in lamp.texts[-1]
    assert lamp.last.tag == "{urn:ietf:params:xml:ns:reginfo}reginfo"


def test_a_mailbox_says_how_much_waits(link: Link) -> None:
    house = House(link)
    lamp = Lamp(house, "bob")
    lamp.subscribe("bob", "message-summary")
    assert lamp.texts[-1].startswith("Messages-Waiting: no\r\n")
    link.run(1)
    house.apply(lambda: house.node.command(SetMailbox("bob", 2, 1)))
    assert lamp.texts[-1] == f"Messages-Waiting: yes\r\nMessage-Account: {BOB}\r\nVoice-Message: 2/1 (0/0)\r\n"


def test_devices_that_are_set_so_are_told_of_their_mailbox_unasked(link: Link) -> None:
    """EVT-2."""
    house = House(link)
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], unsolicited_mwi=True)
    bob, carol = house.callee(), house.callee("carol")
    for name in ("bob", "carol"):
        house.apply(lambda name=name: house.node.command(SetMailbox(name, 1, 0)))  # type: ignore[misc]
    assert [one.headers.get("Event") for one in bob.got("NOTIFY")] == ["message-summary"]
    assert b"Voice-Message: 1/0 (0/0)" in bob.got("NOTIFY")[0].body
    assert carol.got("NOTIFY") == [], "it has not asked, and is not set so"
    house.apply(lambda: house.node.command(SetMailbox("bob", 1, 0)))
    assert len(bob.got("NOTIFY")) == 1, "nothing has changed"
    house.apply(lambda: house.node.tell(DeviceReturned(BOB, "bob", binding_of(bob))))
    assert len({one.headers.get("Call-ID") for one in bob.got("NOTIFY")}) == 2, "a device that comes is told"
    house.assert_nothing_left(bob, carol)


@pytest.mark.parametrize("package", ["reg", "message-summary"])
def test_what_is_nobody_elses_business(link: Link, package: str) -> None:
    answer = Lamp(House(link), "carol").subscribe("bob", package)
    assert (answer.status, slug(answer)) == (403, "watch-not-allowed")


# who may, and the end


def test_subscribers_prove_themselves_as_callers_do(link: Link) -> None:
    """EVT-3."""
    house = House(link)
    lamp = Lamp(house, "carol")
    house.node.authenticator.forget_flow(lamp.back.id)
    assert lamp.subscribe("bob").status == 407
    assert lamp.notifies == []


@pytest.mark.parametrize(
    ("package", "extra", "status"),
    [
        ("conference", {}, 489),
        ("dialog", {"Accept": "application/pidf+xml"}, 406),
        ("presence", {"Accept": "application/*"}, 200),
    ],
)
def test_packages_and_bodies(link: Link, package: str, extra: dict[str, str], status: int) -> None:
    answer = Lamp(House(link), "carol").subscribe("bob", package, **extra)
    assert answer.status == status
    if status == 489:
        assert answer.headers.get("Allow-Events") == "dialog, presence, message-summary, reg, refer"


def test_too_short_and_nobody(link: Link) -> None:
    lamp = Lamp(House(link), "carol")
    short = lamp.subscribe("bob", expires="60")
    assert (short.status, short.headers.get("Min-Expires")) == (423, "600")
    nobody = lamp.subscribe("nobody")
    assert (nobody.status, slug(nobody)) == (404, "destination-unknown")


def test_a_question_is_answered_once(link: Link) -> None:
    house = House(link)
    lamp = Lamp(house, "carol")
    lamp.subscribe("bob", expires="0")
    assert lamp.ends == "terminated;reason=timeout"
    assert len(house.node.switchboard._watchers) == 0
    link.run(1)
    assert house.node.endpoint.subscriptions == 0


def test_more_subscriptions_than_an_endpoint_may_have(link: Link) -> None:
    """SUBSCRIPTIONS_PER_ENDPOINT: the 403 names the setting, and nothing is kept."""
    house = House(link)
    core = house.node.endpoint._core
    core.config = replace(core.config, subscriptions=SubscriptionLimits(per_endpoint=1))
    lamp = Lamp(house, "carol")
    assert lamp.subscribe("bob").status == 200
    refused = lamp.subscribe("alice", "presence")
    assert (refused.status, slug(refused)) == (403, "too-many-subscriptions")
    assert len(house.node.switchboard._watchers) == 1


def test_unsubscribe(link: Link) -> None:
    house = House(link)
    lamp = Lamp(house, "carol")
    answer = lamp.subscribe("bob")
    tag = (answer.headers.get("To") or "").rpartition("tag=")[2]
    ended = lamp.send("SUBSCRIBE", "bob", "dialog", tag, Event="dialog", Expires="0")
    assert ended.status == 200
    assert lamp.ends == "terminated;reason=timeout"
    assert len(house.node.switchboard._watchers) == 0
    house.assert_nothing_left()


def test_a_refresh_says_the_full_state_again(link: Link) -> None:
    house = House(link)
    lamp = Lamp(house, "carol")
    answer = lamp.subscribe("bob")
    tag = (answer.headers.get("To") or "").rpartition("tag=")[2]
    lamp.send("SUBSCRIBE", "bob", "dialog", tag, Event="dialog", Expires="3600")
    assert lamp.states == [[], []]


def test_a_lamp_that_forgot_gets_no_more(link: Link) -> None:
    house = House(link)
    lamp = Lamp(house, "carol")
    lamp.node.status = 481
    lamp.subscribe("bob")
    link.run(1)
    assert len(house.node.switchboard._watchers) == 0
    house.talking()
    assert len(lamp.notifies) == 1


def test_an_endpoint_that_is_deleted_ends_what_watched_it(link: Link) -> None:
    house = House(link)
    lamp = Lamp(house, "carol")
    lamp.subscribe("bob", "presence")
    link.run(1)
    phone = house.callee()
    del house.node.accounts["bob"]
    registered(house, phone)
    assert lamp.ends == "terminated;reason=noresource"
    assert len(house.node.switchboard._watchers) == 0


# survival


INSTANCE = "urn:uuid:00000000-0000-1000-8000-0000000000aa"


def returned(house: House, lamp: Lamp, instance: str = "") -> None:
    """The lamp has registered on its connection."""
    contact = parse_uri(f"sip:{lamp.username}@{lamp.host}:5070;transport=tls")
    binding = Binding(
        f"sip:{lamp.username}@{DOMAIN}", contact, lamp.back, "reg", 1, 1e9, f"<{instance}>" if instance else None
    )
    house.apply(lambda: house.node.tell(DeviceReturned(binding.aor, lamp.username, binding)))


@pytest.mark.ladder
@pytest.mark.parametrize("instance", [INSTANCE, ""], ids=["instance", "contact"])
def test_live_subscription_adopted(link: Link, instance: str) -> None:
    """LIVE-5, EVT-4: the pause sends nothing, the return sends one full state."""
    house = House(link)
    lamp = Lamp(house, "carol", instance)
    lamp.subscribe("bob")
    link.run(2)
    link.disconnect(lamp.there.id)
    alice, bob = house.talking()
    link.run(10)
    assert len(lamp.notifies) == 1, "the pause sends nothing"
    lamp.connect()
    returned(house, lamp, instance)
    link.run(2)
    assert lamp.states == [[], ["confirmed"]], "one full state"
    bob.hang_up(bob.ringing)
    link.run(2)
    assert lamp.states[-1] == ["terminated"], "and life goes on"
    assert len(house.node.switchboard._watchers) == 1
    assert alice.got("BYE")


@pytest.mark.parametrize("first", ["register", "subscribe"])
def test_a_device_that_says_who_it_is_in_its_register_alone(link: Link, first: str) -> None:
    """LIVE-5: most phones; their address is another after a change of network."""
    house = House(link)
    lamp = Lamp(house, "carol")
    if first == "register":
        returned(house, lamp, INSTANCE)
    lamp.subscribe("bob")
    if first == "subscribe":
        returned(house, lamp, INSTANCE)
    link.run(2)
    link.disconnect(lamp.there.id)
    house.talking()
    link.run(2)
    lamp.host = "198.51.100.7"
    lamp.connect()
    returned(house, lamp, INSTANCE)
    link.run(2)
    assert lamp.states == [[], ["confirmed"]]


def test_another_device_does_not_take_it_over(link: Link) -> None:
    house = House(link)
    lamp = Lamp(house, "carol", INSTANCE)
    lamp.subscribe("bob")
    link.disconnect(lamp.there.id)
    other = Lamp(house, "carol", "urn:uuid:00000000-0000-1000-8000-0000000000bb")
    contact = parse_uri("sip:other@127.0.0.10:5070;transport=tls")
    binding = Binding(f"sip:carol@{DOMAIN}", contact, other.back, "reg", 1, 1e9, f"<{other.instance}>")
    house.apply(lambda: house.node.tell(DeviceReturned(binding.aor, "carol", binding)))
    assert other.notifies == []


def test_a_device_that_returned_before_its_old_connection_was_found_dead(link: Link) -> None:
    """LIVE-5: the old connection is half open; its subscriptions move when it is given up."""
    house = House(link)
    lamp = Lamp(house, "carol", INSTANCE)
    lamp.subscribe("bob")
    link.run(2)
    old = lamp.there
    lamp.connect()
    returned(house, lamp, INSTANCE)
    assert len(lamp.notifies) == 1, "while the old one lives, it stays there: two tabs share one instance"
    link.disconnect(old.id)
    link.run(1)
    assert lamp.states == [[], []]
    link.run(1)
    house.talking()
    link.run(2)
    assert lamp.states[-1] == ["confirmed"]


def test_keep_alive_by_notify(link: Link) -> None:
    """200 from a known connection, silence to a stranger on UDP."""
    house = House(link)
    lamp = Lamp(house, "carol")
    assert lamp.send("NOTIFY", "bob", Event="keep-alive").status == 200
    flow = house.link.connect(lamp.station, house.station, Transport.UDP)[0]
    count = len(house.station.sent)
    lamp.station.apply([Send(flow.id, make_request("NOTIFY", Event="keep-alive"))])
    link.run(1)
    assert len(house.station.sent) == count
