"""The registrar's steps, REG-1 to REG-16, under their numbers."""

from dataclasses import replace

from offhook.sip.commands import Unbind
from offhook.sip.config import RegistrarLimits, SipConfig
from offhook.sip.encode import encode
from offhook.sip.events import BindingsChanged, DeviceReturned
from offhook.sip.fields import parse_name_addr, split_list
from offhook.sip.flow import Flow, Transport
from offhook.sip.location import Change, Changed
from offhook.sip.message import Request, Response
from offhook.sip.uri import parse_uri
from tests.support.link import Link
from tests.support.messages import make_flow
from tests.support.nodes import DOMAIN, authorized
from tests.support.registering import AOR, Registering

PHONE = "<sip:bob@127.0.0.2:5070>"
TABLET = "<sip:bob@127.0.0.3:5070>"
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'


def addressed(request: Request, uri: str) -> Request:
    return Request(request.method, parse_uri(uri), request.headers)


def with_to(request: Request, to: str) -> Request:
    return Request(request.method, request.uri, request.headers.replaced("To", to))


def proven(phone: Registering, request: Request, flow: Flow | None = None) -> Response:
    return phone.send(authorized(request, phone.send(request, flow), "bob"), flow)


def test_reg_1_unknown_domain_is_silence_on_udp_and_404_with_warning_on_streams(link: Link) -> None:
    phone = Registering(link)
    stranger = addressed(phone.request(PHONE), "sip:elsewhere.example")
    phone.node.feed(stranger, phone.flow)
    assert phone.node.sent == []
    assert phone.node.node.transactions == 0
    answer = phone.send(stranger, phone.open(make_flow("tcp", Transport.TCP)))
    assert answer.status == 404
    assert "elsewhere.example" in (answer.headers.get("Warning") or "")


def test_reg_1_alias_is_the_same_address_of_record(link: Link) -> None:
    phone = Registering(link, config=SipConfig(DOMAIN, frozenset({"127.0.0.1"})))
    request = with_to(addressed(phone.request(PHONE), "sip:127.0.0.1:5060"), "<sip:bob@127.0.0.1>")
    assert proven(phone, request).status == 200
    assert phone.contacts == ["sip:bob@127.0.0.2:5070"]


def test_reg_2_unknown_option_is_420(link: Link) -> None:
    phone = Registering(link)
    answer = phone.register(PHONE, Require="outbound, teleport")
    assert (answer.status, answer.headers.get("Unsupported")) == (420, "teleport")


def test_reg_3_over_the_source_budget(link: Link) -> None:
    limits = RegistrarLimits(rate_per_source=1.0, burst_per_source=2.0)
    phone = Registering(link, config=SipConfig(DOMAIN, registrar=limits))
    tcp, ws = phone.open(make_flow("tcp", Transport.TCP)), phone.open(make_flow("ws", Transport.WS))
    for _ in range(2):
        assert phone.send(phone.request(PHONE)).status == 401
    count = len(phone.node.sent)
    phone.node.feed(phone.request(PHONE), phone.flow)
    assert len(phone.node.sent) == count
    answer = phone.send(phone.request(PHONE), tcp)
    assert (answer.status, answer.headers.get("Retry-After")) == (503, "1")
    effects = phone.node.node.receive(phone.request(PHONE), ws, link.now)
    assert [(effect.code, effect.slug) for effect in effects if hasattr(effect, "code")] == [(1013, "register-rate")]
    link.run(1)
    assert phone.send(phone.request(PHONE)).status == 401


def test_reg_4_same_answer_for_unknown_user_and_wrong_password(link: Link) -> None:
    phone = Registering(link)
    request = phone.request(PHONE)
    answers = [
        phone.send(authorized(request, phone.send(request), user, password))
        for user, password in (("bob", "wrong"), ("nobody", "wrong"))
    ]
    assert [answer.status for answer in answers] == [401, 401]
    shapes = [[name for name, _ in answer.headers] for answer in answers]
    assert shapes[0] == shapes[1]
    assert phone.bindings == ()


def test_reg_4_another_endpoint_may_not_bind_this_address(link: Link) -> None:
    phone = Registering(link)
    request = phone.request(PHONE)
    answer = phone.send(authorized(request, phone.send(request), "alice"))
    assert answer.status == 403
    assert "not-your-address" in (answer.headers.get("Warning") or "")


def test_reg_5_address_of_record_is_unescaped_once_and_a_foreign_one_is_404_after_proof(link: Link) -> None:
    phone = Registering(link)
    assert proven(phone, with_to(phone.request(PHONE), "<sip:%62ob@EXAMPLE.com:5060;user=phone>")).status == 200
    assert phone.node.bindings.keys() == {AOR}
    foreign = with_to(phone.request(PHONE), "<sip:bob@elsewhere.example>")
    assert phone.send(foreign).status == 401
    assert proven(phone, foreign).status == 404


def test_reg_6_star(link: Link) -> None:
    phone = Registering(link)
    phone.register(f"{PHONE}, {TABLET}")
    assert phone.register("*").status == 400
    assert phone.register(f"*, {PHONE}", Expires="0").status == 400
    assert len(phone.bindings) == 2
    answer = phone.register("*", Expires="0")
    assert (answer.status, answer.headers.get("Contact")) == (200, None)
    assert phone.bindings == ()
    assert len(phone.node.updates[-1].removed) == 2


def test_reg_7_out_of_order_cseq_is_500_and_another_call_id_is_fresh(link: Link) -> None:
    phone = Registering(link)
    old = phone.request(PHONE)
    assert phone.register(PHONE).status == 200
    late = authorized(old, phone.send(old), "bob")
    assert phone.send(late).status == 500
    assert phone.register(PHONE, call_id="reg-2").status == 200
    assert len(phone.bindings) == 1


def test_reg_8_one_bad_contact_fails_the_whole_request(link: Link) -> None:
    phone = Registering(link)
    own = "<sip:bob@127.0.0.1:5060>"
    for bad in ("<mailto:bob@example.com>", own):
        assert phone.register(f"{PHONE}, {bad}").status == 400
        assert phone.bindings == ()


def test_reg_8_on_a_websocket_any_host_will_do(link: Link) -> None:
    phone = Registering(link, Transport.WS)
    assert phone.register("<sip:q8f9@df7jal23ls0d.invalid;transport=ws>").status == 200


def test_reg_9_expiry(link: Link) -> None:
    phone = Registering(link)

    def granted(contact: str, **extra: str) -> float:
        phone.register(contact, **extra)
        return phone.bindings[0].expires_at - link.now

    assert granted(PHONE) == 600
    assert granted(PHONE, Expires="120") == 120
    assert granted(f"{PHONE};expires=90", Expires="120") == 90
    assert granted(PHONE, Expires="99999999999999999999") == 3600
    assert granted(f"{PHONE};expires=soon") == 600
    before = phone.bindings
    answer = phone.register(PHONE, Expires="59")
    assert (answer.status, answer.headers.get("Min-Expires")) == (423, "60")
    assert phone.bindings == before
    phone.register(PHONE, Expires="0")
    assert phone.bindings == ()


def test_reg_9_binding_ends_by_itself(link: Link) -> None:
    phone = Registering(link)
    phone.register(f"{PHONE};expires=100, {TABLET};expires=200")
    link.run(99)
    assert len(phone.bindings) == 2
    link.run(2)
    assert phone.contacts == ["sip:bob@127.0.0.3:5070"]
    link.run(100)
    assert phone.bindings == ()
    assert phone.node.node.timers == 0


def test_reg_10_instance_replaces_whatever_the_contact(link: Link) -> None:
    phone = Registering(link, Transport.WS)
    phone.register(f"<sip:one@x.invalid>;{INSTANCE}")
    phone.register(f"<sip:two@y.invalid>;{INSTANCE}", call_id="reg-2")
    assert phone.contacts == ["sip:two@y.invalid"]
    update = phone.node.updates[-1]
    assert (update.added, update.removed) == ((), ())


def test_reg_10_reg_ids_of_one_instance_are_flows_beside_each_other(link: Link) -> None:
    phone = Registering(link, Transport.TCP)
    for number in (1, 2, 1):
        phone.register(f"{PHONE};{INSTANCE};reg-id={number}", Supported="outbound, path")
    assert [binding.reg_id for binding in phone.bindings] == [2, 1]


def test_reg_10_reg_id_without_instance_is_ignored(link: Link) -> None:
    phone = Registering(link)
    answer = phone.register(f"{PHONE};reg-id=1", Supported="outbound")
    assert phone.bindings[0].reg_id is None
    assert answer.headers.get("Require") is None


def test_reg_10_contact_is_compared_as_a_uri(link: Link) -> None:
    phone = Registering(link)
    phone.register("<sip:b%6Fb@127.0.0.2:5070;x=1>")
    phone.register("<sip:bob@127.0.0.2:5070>")
    assert phone.contacts == ["sip:bob@127.0.0.2:5070"]


def test_reg_11_limit_evicts_dead_flows_first_and_then_refuses(link: Link) -> None:
    phone = Registering(link, Transport.TCP, SipConfig(DOMAIN, registrar=RegistrarLimits(contacts_per_aor=2)))
    phone.register("<sip:bob@127.0.0.2:1>")
    phone.register("<sip:bob@127.0.0.2:2>")
    answer = phone.register("<sip:bob@127.0.0.2:3>")
    assert answer.status == 403
    assert "too-many-contacts" in (answer.headers.get("Warning") or "")
    # A binding that another life of this node wrote: its flow is unknown here.
    dead = replace(phone.bindings[0], flow=make_flow("dead", Transport.TCP))
    phone.node.bindings[AOR] = (phone.bindings[1], dead)
    assert phone.register("<sip:bob@127.0.0.2:3>").status == 200
    assert phone.contacts == ["sip:bob@127.0.0.2:2", "sip:bob@127.0.0.2:3"]


def test_reg_12_binding_dies_with_its_flow_in_the_same_event(link: Link) -> None:
    phone = Registering(link, Transport.WSS)
    other = phone.open(make_flow("other", Transport.WSS))
    phone.register("<sip:one@x.invalid>")
    phone.register("<sip:two@x.invalid>", other, call_id="reg-2")
    phone.close(phone.flow)
    assert phone.contacts == ["sip:two@x.invalid"]
    assert [str(gone.contact) for gone in phone.node.updates[-1].removed] == ["sip:one@x.invalid"]
    phone.close(other)
    assert phone.bindings == ()


def test_reg_12_refresh_on_a_new_flow_survives_the_old_one(link: Link) -> None:
    phone = Registering(link, Transport.WSS)
    other = phone.open(make_flow("other", Transport.WSS))
    phone.register(f"<sip:one@x.invalid>;{INSTANCE}")
    phone.register(f"<sip:one@x.invalid>;{INSTANCE}", other, call_id="reg-2")
    phone.close(phone.flow)
    assert phone.contacts == ["sip:one@x.invalid"]


def test_reg_15_answer_names_own_binding_first_in_one_field(link: Link) -> None:
    phone = Registering(link, config=SipConfig(DOMAIN, epoch=1_760_000_000.0))
    phone.register(f"{TABLET};expires=300")
    answer = phone.register(f"{PHONE};{INSTANCE};reg-id=1;expires=90;audio", Supported="outbound")
    (line,) = answer.headers.all("Contact")
    own, other = (parse_name_addr(value) for value in split_list(line))
    assert str(own.uri) == "sip:bob@127.0.0.2:5070"
    assert own.params == {
        "+sip.instance": "<urn:uuid:00000000-0000-1000-8000-000A95A0E128>",
        "reg-id": "1",
        "audio": None,
        "expires": "90",
    }
    assert other.params == {"expires": "300"}
    assert INSTANCE in line
    assert answer.headers.get("Require") == "outbound"
    assert answer.headers.get("Flow-Timer") == "120"
    assert answer.headers.get("Date") == "Thu, 09 Oct 2025 08:53:20 GMT"


def test_reg_15_answer_over_udp_stays_small(link: Link) -> None:
    phone = Registering(link)
    for number in range(10):
        phone.register(f"<sip:bob@127.0.0.{number + 10}:5070;some-long-parameter={'x' * 60}>")
    answer = phone.register(PHONE)
    assert len(encode(answer)) <= 1300
    assert (answer.headers.get("Contact") or "").startswith("<sip:bob@127.0.0.2:5070>;expires=600")
    assert len(phone.bindings) == 11


def test_reg_16_failed_send_removes_the_binding_it_used(link: Link) -> None:
    phone = Registering(link)
    phone.register(PHONE)
    invite = Request("INVITE", parse_uri("sip:bob@127.0.0.2:5070"), phone.request(None).headers)
    phone.node.apply(phone.node.node.send_failed(phone.flow.id, invite, link.now))
    assert phone.bindings == ()


def test_reg_16_the_device_that_came_back_is_told_after_its_200_and_then_what_changed(link: Link) -> None:
    phone = Registering(link, Transport.WSS)
    phone.register(f"<sip:one@x.invalid>;{INSTANCE}")
    returned, changed = phone.node.events
    assert isinstance(returned, DeviceReturned)
    assert isinstance(changed, BindingsChanged)
    (binding,) = phone.bindings
    assert (returned.aor, returned.username, returned.binding) == (AOR, "bob", binding)
    assert changed == BindingsChanged(AOR, (binding,), (Changed(binding, Change.REGISTERED),))
    # A refresh from a new page load and connection is the same binding, now elsewhere.
    phone.node.events.clear()
    other = phone.open(make_flow("other", Transport.WSS))
    phone.register(f"<sip:two@y.invalid>;{INSTANCE}", other, call_id="reg-2")
    returned, changed = phone.node.events
    assert isinstance(returned, DeviceReturned)
    assert isinstance(changed, BindingsChanged)
    assert (returned.binding.flow, returned.binding.id) == (other, binding.id)
    assert [one.change for one in changed.changed] == [Change.REFRESHED]


def test_reg_16_every_end_of_a_binding_has_its_reason(link: Link) -> None:
    phone = Registering(link, Transport.WSS)

    def ended() -> list[Change]:
        found = [event for event in phone.node.events if isinstance(event, BindingsChanged)][-1]
        phone.node.events.clear()
        return [one.change for one in found.changed if not one.change.active]

    phone.register("<sip:one@x.invalid>")
    phone.register("<sip:one@x.invalid>;expires=0")
    assert ended() == [Change.UNREGISTERED]
    phone.register("<sip:one@x.invalid>;expires=60")
    link.run(61)
    assert ended() == [Change.EXPIRED]
    phone.register("<sip:one@x.invalid>, <sip:two@x.invalid>")
    phone.node.perform(Unbind(AOR, phone.bindings[0].id))
    assert ended() == [Change.KICKED]
    assert phone.contacts == ["sip:two@x.invalid"]
    phone.close(phone.flow)
    assert ended() == [Change.FLOW_LOST]


def test_reg_16_an_unbound_address_is_empty(link: Link) -> None:
    phone = Registering(link, Transport.WSS)
    phone.register("<sip:one@x.invalid>, <sip:two@x.invalid>")
    phone.node.perform(Unbind(AOR))
    assert phone.bindings == ()
    assert phone.node.node.timers == 0


def test_auth_9_trusted_flow_is_not_challenged_again(link: Link) -> None:
    phone = Registering(link, Transport.WSS)
    phone.register("<sip:one@x.invalid>")
    assert phone.send(phone.request("<sip:one@x.invalid>")).status == 200
    # Another address from the same flow: known who it is, so refused at once.
    assert phone.send(phone.request("<sip:one@x.invalid>", user="alice")).status == 403
    # Credentials changed: not trusted any more.
    phone.node.accounts["bob"] = replace(phone.node.accounts["bob"], credential_version=2)
    assert phone.send(phone.request("<sip:one@x.invalid>")).status == 401


def test_auth_9_clear_flows_are_challenged_each_time(link: Link) -> None:
    for transport in (Transport.UDP, Transport.TCP, Transport.WS):
        phone = Registering(link, transport)
        phone.register("<sip:one@x.invalid>")
        assert phone.send(phone.request("<sip:one@x.invalid>")).status == 401


def test_register_that_outlives_its_flow_binds_nothing(link: Link) -> None:
    phone = Registering(link, Transport.WS)
    request = phone.request("<sip:one@x.invalid>")
    full = authorized(request, phone.send(request), "bob")
    (find,) = phone.node.node.receive(full, phone.flow, link.now)[:1]
    phone.close(phone.flow)
    account = phone.node.accounts["bob"]
    effects = phone.node.node.registration_found(getattr(find, "token", None), account, (), link.now)
    phone.node.apply(effects)
    assert phone.bindings == ()
    assert phone.node.node.transactions == 0
