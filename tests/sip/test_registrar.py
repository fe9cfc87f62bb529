"""The registrar's steps, REG-1 to REG-16, under their numbers."""

from dataclasses import replace

from offhook.sip.commands import Attach, MarkFlow, SendInvite, Unbind
from offhook.sip.config import RegistrarLimits, SipConfig
from offhook.sip.effects import Send
from offhook.sip.encode import encode
from offhook.sip.events import BindingsChanged, DeviceReturned, UsageId
from offhook.sip.fields import parse_name_addr, split_list
from offhook.sip.flow import Flow, Reachability, Transport
from offhook.sip.location import Change, Changed
from offhook.sip.message import Headers, Request, Response
from offhook.sip.uri import parse_uri
from tests.support.link import Link
from tests.support.messages import make_flow, make_response
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


def test_reg_1_a_flood_of_strangers_writes_a_line_a_second(link: Link) -> None:
    phone = Registering(link)
    stranger = addressed(phone.request(PHONE), "sip:elsewhere.example")
    for _ in range(30):
        link.run(0.1)
        phone.node.feed(stranger, phone.flow)
    assert phone.node.sent == []
    assert [note.slug for note in phone.node.notes] == ["domain-unknown"] * 3


def test_reg_4_a_copy_of_what_was_refused_for_want_of_a_name_is_refused_alike_and_nothing_is_kept(link: Link) -> None:
    """RFC 3261 section 8.2.7, over UDP, for a phone that is known too."""
    phone = Registering(link)
    assert phone.register(PHONE).status == 200
    link.run(40)
    kept = phone.node.node.timers
    for request, status in (
        (phone.request(PHONE), 401),
        (phone.request(PHONE, Require="nothing-we-know"), 420),
        (with_to(phone.request(PHONE), "<tel:+15550100>"), 400),
    ):
        first, second = phone.send(request), phone.send(request)
        # 1. The same answer, under the same tag, though we remember none of them.
        assert first.status == second.status == status
        assert first.headers.get("To") == second.headers.get("To")
        assert ";tag=" in (first.headers.get("To") or "")
        # 2. No transaction and no timer stays.
        assert (phone.node.node.transactions, phone.node.node.timers) == (0, kept)
        # 3. Another request gets another tag.
        assert phone.send(phone.request(PHONE)).headers.get("To") != first.headers.get("To")
    request = phone.request(PHONE)
    challenges = [phone.send(request), phone.send(request)]
    for number, challenge in enumerate(challenges):
        # 4. Each challenge is good: the peer may have heard either.
        claim = authorized(request, challenge, "bob")
        claim = Request(claim.method, claim.uri, claim.headers.replaced("CSeq", f"{20 + number} REGISTER"))
        answer = phone.send(claim)
        assert answer.status == 200
        # 5. A copy of the one that was served is answered from memory, octet for octet, and changes nothing.
        assert encode(phone.send(claim)) == encode(answer)
        link.run(2)


def test_reg_1_alias_is_the_same_address_of_record(link: Link) -> None:
    phone = Registering(link, config=SipConfig(DOMAIN, frozenset({"127.0.0.1"})))
    request = with_to(addressed(phone.request(PHONE), "sip:127.0.0.1:5060"), "<sip:bob@127.0.0.1>")
    assert proven(phone, request).status == 200
    assert phone.contacts == ["sip:bob@127.0.0.2:5070"]


def test_reg_2_unknown_option_is_420(link: Link) -> None:
    phone = Registering(link)
    answer = phone.register(PHONE, Require="outbound, teleport")
    assert (answer.status, answer.headers.get("Unsupported")) == (420, "teleport")
    assert phone.register(PHONE, Require="path, outbound, gruu, timer, Replaces").status == 200


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
    assert [(effect.code, effect.slug) for effect in effects if hasattr(effect, "code")] == [
        (1013, "register-too-often")
    ]
    link.run(1)
    assert phone.send(phone.request(PHONE)).status == 401


def test_reg_3_a_source_is_an_ipv4_address_or_an_ipv6_network_and_takes_nothing_from_others(link: Link) -> None:
    limits = RegistrarLimits(rate_per_source=1.0, burst_per_source=3.0, storm=10.0)
    phone = Registering(link, config=SipConfig(DOMAIN, registrar=limits))
    answered = 0
    for number in range(1, 50):
        count = len(phone.node.sent)
        phone.node.feed(phone.request(PHONE), replace(make_flow(f"six{number}"), remote=(f"2001:db8::{number}", 5060)))
        answered += len(phone.node.sent) - count
    assert answered == 3, "one network, however many of its addresses ask"
    assert phone.send(phone.request(PHONE)).status == 401, "the budget of all is not spent on one"


def test_reg_3_a_storm_is_spread_over_half_a_minute(link: Link) -> None:
    phone = Registering(link, Transport.TCP, SipConfig(DOMAIN, registrar=RegistrarLimits(storm=2.0)))
    assert [phone.send(phone.request(PHONE)).status for _ in range(3)] == [401, 401, 503]
    waits = {int(phone.send(phone.request(PHONE)).headers.get("Retry-After") or "0") for _ in range(20)}
    assert min(waits) >= 5
    assert max(waits) <= 30
    assert len(waits) > 5
    link.run(1)
    assert phone.send(phone.request(PHONE)).status == 401


def test_reg_4_a_switched_off_endpoint_is_told_only_after_its_proof(link: Link) -> None:
    phone = Registering(link, Transport.WSS)
    phone.node.accounts["bob"] = replace(phone.node.accounts["bob"], enabled=False)
    assert phone.register(PHONE, password="wrong").status == 401
    answer = phone.register(PHONE)
    assert answer.status == 403
    assert "endpoint-disabled" in (answer.headers.get("Warning") or "")
    # It is not believed from then on.
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


def test_reg_11_limit_evicts_suspect_flows_then_sleeping_pages_without_calls(link: Link) -> None:
    phone = Registering(link, Transport.WSS, SipConfig(DOMAIN, registrar=RegistrarLimits(contacts_per_aor=3)))
    flows = [phone.open(make_flow(name, Transport.WSS)) for name in ("busy", "asleep", "suspect", "new", "newer")]
    for flow in flows[:3]:
        phone.register(f"<sip:{flow.id}@x.invalid>", flow, call_id=f"reg-{flow.id}")
    busy, asleep, suspect, new, newer = flows
    for flow in (busy, asleep):
        phone.node.perform(MarkFlow(flow.id, Reachability.ASLEEP))
    phone.node.perform(MarkFlow(suspect.id, Reachability.SUSPECT))
    # A call of the busy page stands, whatever its silence.
    to_busy = parse_uri("sip:busy@x.invalid")
    invite = SendInvite(UsageId("call"), busy.id, to_busy, "<sip:alice@example.com>", "<sip:bob@example.com>")
    effects = phone.node.node.perform(invite, link.now)
    assert any(isinstance(effect, Send) for effect in effects)
    phone.node.events.clear()
    assert phone.register("<sip:new@x.invalid>", new, call_id="reg-new").status == 200
    assert phone.contacts == ["sip:busy@x.invalid", "sip:asleep@x.invalid", "sip:new@x.invalid"]
    (told,) = [event for event in phone.node.events if isinstance(event, BindingsChanged)]
    assert [(str(one.binding.contact), one.change) for one in told.changed] == [
        ("sip:new@x.invalid", Change.REGISTERED),
        ("sip:suspect@x.invalid", Change.EVICTED),
    ]
    assert phone.register("<sip:newer@x.invalid>", newer, call_id="reg-newer").status == 200
    assert phone.contacts == ["sip:busy@x.invalid", "sip:new@x.invalid", "sip:newer@x.invalid"]
    assert phone.register("<sip:late@x.invalid>", call_id="reg-late").status == 403


def test_reg_11_a_page_that_speaks_is_awake(link: Link) -> None:
    phone = Registering(link, Transport.WSS)
    phone.register("<sip:one@x.invalid>")
    phone.node.perform(MarkFlow(phone.flow.id, Reachability.ASLEEP))
    assert phone.node.node.reachability(phone.flow.id) is Reachability.ASLEEP  # type: ignore[attr-defined]
    phone.register("<sip:one@x.invalid>")
    assert phone.node.node.reachability(phone.flow.id) is Reachability.REACHABLE  # type: ignore[attr-defined]


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


def test_reg_12_only_a_private_tcp_phone_without_outbound_waits_to_be_dialled_back(link: Link) -> None:
    def left(contact: str, transport: Transport = Transport.TCP, **extra: str) -> list[bool]:
        phone = Registering(link, transport)
        assert phone.register(contact, **extra).status == 200
        phone.close(phone.flow)
        return [binding.attached for binding in phone.bindings]

    assert left(PHONE) == [False]
    assert left(f"{PHONE};{INSTANCE}") == [False]
    assert left(f"{PHONE};{INSTANCE};reg-id=1", Supported="outbound") == []
    assert left("<sip:bob@127.0.0.3>") == []
    # It names the end of its own connection, on which nobody listens.
    phone = Registering(link, Transport.TCP)
    flow = phone.open(make_flow("ephemeral", Transport.TCP, port=50_123))
    assert phone.register("<sip:bob@127.0.0.2:50123>", flow).status == 200
    phone.close(flow)
    assert phone.bindings == ()
    assert left("<sip:bob@phone.example>") == []
    assert left(PHONE, Transport.TLS) == []
    assert left(PHONE, Transport.WS) == []


def test_reg_12_a_phone_that_was_dialled_back_is_where_it_was(link: Link) -> None:
    phone = Registering(link, Transport.TCP)
    phone.register(PHONE)
    (binding,) = phone.bindings
    assert str(binding.dial_back) == "127.0.0.2:5070/tcp"
    phone.close(phone.flow)
    assert phone.node.node.timers == 1
    phone.node.events.clear()
    back = phone.open(make_flow("back", Transport.TCP))
    phone.node.perform(Attach(AOR, binding.id, back))
    assert phone.bindings == (replace(binding, flow=back),)
    assert [type(event) for event in phone.node.events] == [DeviceReturned, BindingsChanged]
    # It waits no more, and a second connection for it changes nothing.
    phone.node.perform(Attach(AOR, binding.id, phone.open(make_flow("second", Transport.TCP))))
    assert phone.bindings[0].flow == back
    phone.close(back)
    link.run(601)
    assert phone.bindings == ()
    assert phone.node.node.timers == 0


def test_reg_12_a_dead_connection_carries_no_binding(link: Link) -> None:
    phone = Registering(link, Transport.TCP)
    phone.register(PHONE)
    phone.close(phone.flow)
    phone.node.perform(Attach(AOR, phone.bindings[0].id, make_flow("never opened", Transport.TCP)))
    assert not phone.bindings[0].attached


def test_reg_12_bindings_of_before_a_restart_stand_until_they_run_out(link: Link) -> None:
    phone = Registering(link)
    phone.register(f"{PHONE};expires=100")
    kept = phone.bindings
    other = Registering(link)
    other.node.bindings[AOR] = kept
    other.node.apply(other.node.node.restored(AOR, kept, link.now))  # type: ignore[attr-defined]
    (told,) = other.node.events
    assert isinstance(told, BindingsChanged)
    assert [(one.binding, one.change) for one in told.changed] == [(kept[0], Change.RESTORED)]
    command = SendInvite(UsageId("call"), kept[0].flow.id, kept[0].contact, "<sip:a@b>", "<sip:bob@b>")
    assert any(isinstance(effect, Send) for effect in other.node.node.perform(command, link.now))
    link.run(101)
    assert other.bindings == ()


def gruus(answer: Response) -> tuple[str, str]:
    params = parse_name_addr(split_list(answer.headers.get("Contact") or "")[0]).params
    return params.get("pub-gruu") or "", params.get("temp-gruu") or ""


def test_reg_13_gruus_for_a_client_that_asks_and_has_an_instance(link: Link) -> None:
    phone = Registering(link, Transport.WSS)
    assert gruus(phone.register(f"<sip:one@x.invalid>;{INSTANCE}")) == ("", "")
    assert gruus(phone.register("<sip:two@x.invalid>", Supported="gruu")) == ("", "")
    first = gruus(phone.register(f"<sip:one@x.invalid>;{INSTANCE}", Supported="gruu, path"))
    second = gruus(phone.register(f"<sip:one@x.invalid>;{INSTANCE}", Supported="GRUU"))
    assert first[0] == second[0] == f"sip:bob@{DOMAIN};gr=urn:uuid:00000000-0000-1000-8000-000A95A0E128"
    assert first[1] != second[1]
    for temporary in (first[1], second[1]):
        uri = parse_uri(temporary)
        assert (uri.host, uri.params) == (DOMAIN, {"gr": None})
        assert "bob" not in temporary


def test_reg_13_a_gruu_of_ours_is_no_contact(link: Link) -> None:
    phone = Registering(link, Transport.WSS)
    public, _ = gruus(phone.register(f"<sip:one@x.invalid>;{INSTANCE}", Supported="gruu"))
    assert phone.register(f"<{public}>").status == 403
    assert phone.contacts == ["sip:one@x.invalid"]


PROXY = "<sip:edge.example.net;lr;ob>"
TRUSTING = SipConfig(DOMAIN, trusted_proxies=("127.0.0.2/32",))


def test_reg_14_path_of_a_trusted_proxy_is_kept_and_echoed(link: Link) -> None:
    phone = Registering(link, config=TRUSTING)
    paths = f"<sip:inner.example.net;lr>, {PROXY}"
    answer = phone.register(f"{PHONE};{INSTANCE};reg-id=1", Path=paths, Supported="path, outbound")
    assert answer.status == 200
    assert answer.headers.all("Path") == ("<sip:inner.example.net;lr>", PROXY)
    (binding,) = phone.bindings
    assert binding.path == ("<sip:inner.example.net;lr>", PROXY)
    assert binding.reg_id == 1


def test_reg_14_unreadable_path_is_400(link: Link) -> None:
    phone = Registering(link, config=TRUSTING)
    assert phone.register(PHONE, Path="<tel:+1234>").status == 400
    assert phone.register(PHONE, Path="<sip:edge.example.net").status == 400
    assert phone.bindings == ()


def behind_a_proxy(request: Request) -> Request:
    second = ("Via", "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKinner")
    at = next(number for number, (name, _) in enumerate(request.headers) if name == "Via")
    fields = list(request.headers)
    return replace(request, headers=Headers([*fields[: at + 1], second, *fields[at + 1 :]]))


def test_reg_14_a_first_hop_without_flows_is_bound_without_outbound_instead_of_439(link: Link) -> None:
    contact = f"{PHONE};{INSTANCE};reg-id=1"
    for path, reg_id in (("<sip:edge.example.net;lr>", None), (PROXY, 1)):
        phone = Registering(link, config=TRUSTING)
        request = phone.request(contact, Supported="path, outbound", Path=path)
        answer = phone.send(behind_a_proxy(authorized(request, phone.send(request), "bob")))
        assert answer.status == 200
        assert phone.bindings[0].reg_id == reg_id
        assert (answer.headers.get("Require") == "outbound") is (reg_id is not None)


def test_reg_14_outbound_strict_says_439(link: Link) -> None:
    phone = Registering(link, config=replace(TRUSTING, outbound_strict=True))
    request = phone.request(f"{PHONE};{INSTANCE};reg-id=1", Supported="path, outbound")
    answer = phone.send(behind_a_proxy(authorized(request, phone.send(request), "bob")))
    assert (answer.status, answer.reason) == (439, "First Hop Lacks Outbound Support")
    assert phone.bindings == ()


def test_reg_15_feature_tags_and_push_parameters_are_kept_and_echoed(link: Link) -> None:
    phone = Registering(link, Transport.TLS)
    uri = "<sip:bob@127.0.0.2:5070;pn-provider=apns;pn-prid=x>"
    answer = phone.register(f'{uri};audio;video;languages="en,fr"')
    line = answer.headers.get("Contact") or ""
    assert line.startswith(uri)
    assert ';audio;video;languages="en,fr"' in line
    assert phone.bindings[0].params == {"audio": None, "video": None, "languages": "en,fr"}
    assert answer.headers.get("Supported") == "path, gruu, outbound"


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


def test_reg_16_a_device_that_says_it_is_gone_is_unbound(link: Link) -> None:
    for status in (410, 430):
        phone = Registering(link, Transport.WSS)
        phone.register("<sip:one@x.invalid>, <sip:two@x.invalid>")

        def call_ends_with(final: int, phone: Registering = phone) -> None:
            to_one = parse_uri("sip:one@x.invalid")
            command = SendInvite(UsageId("call"), phone.flow.id, to_one, "<sip:a@b>", "<sip:bob@b>")
            (invite,) = [one.message for one in phone.node.node.perform(command, link.now) if isinstance(one, Send)]
            assert isinstance(invite, Request)
            effects = phone.node.node.receive(make_response(invite, final, "t"), phone.flow, link.now)
            phone.node.apply([effect for effect in effects if not isinstance(effect, Send)])

        call_ends_with(480)
        assert len(phone.bindings) == 2
        call_ends_with(status)
        assert phone.contacts == ["sip:two@x.invalid"]
        told = [event for event in phone.node.events if isinstance(event, BindingsChanged)][-1]
        assert [one.change for one in told.changed] == [Change.GONE]


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
    # Another account of the same phone comes by the same flow: it is asked, and then both are trusted.
    other = phone.request("<sip:two@x.invalid>", user="alice")
    assert phone.send(authorized(other, phone.send(other), "alice")).status == 200
    assert phone.send(phone.request("<sip:two@x.invalid>", user="alice", call_id="reg-2")).status == 200
    assert phone.send(phone.request("<sip:one@x.invalid>")).status == 200
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
