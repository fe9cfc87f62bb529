"""Every way a device can be set up wrong is told apart by the words of its answer (the registrar half of TRK-10)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from offhook.calls.catalogue import CATALOGUE
from offhook.sip.commands import Unbind
from offhook.sip.config import RegistrarLimits, SipConfig
from offhook.sip.flow import Transport
from offhook.sip.message import Request, Response
from offhook.sip.uri import parse_uri
from tests.support.link import Link
from tests.support.nodes import DOMAIN, authorized
from tests.support.registering import AOR, Registering

PAGE = "<sip:one@x.invalid>"
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
Try = Callable[[Registering], Response]


def to_elsewhere(phone: Registering) -> Response:
    request = phone.request(PAGE)
    return phone.send(Request("REGISTER", parse_uri("sip:elsewhere.example"), request.headers))


def foreign_address(phone: Registering) -> Response:
    request = phone.request(PAGE)
    request = replace(request, headers=request.headers.replaced("To", "<sip:bob@elsewhere.example>"))
    return phone.send(authorized(request, phone.send(request), "bob"))


def of_another(phone: Registering) -> Response:
    request = phone.request(PAGE)
    return phone.send(authorized(request, phone.send(request), "alice"))


def no_address(phone: Registering) -> Response:
    request = phone.request(PAGE)
    return phone.send(replace(request, headers=request.headers.replaced("To", "<tel:+15550100>")))


def switched_off(phone: Registering) -> Response:
    phone.node.accounts["bob"] = replace(phone.node.accounts["bob"], enabled=False)
    return phone.register(PAGE)


def out_of_order(phone: Registering) -> Response:
    late = phone.request(PAGE)
    phone.register(PAGE)
    return phone.send(late)


def too_many(phone: Registering) -> Response:
    for number in range(3):
        answer = phone.register(f"<sip:{number}@x.invalid>", call_id=f"reg-{number}")
    return answer


def too_often(phone: Registering) -> Response:
    phone.register(PAGE)
    return [phone.send(phone.request(PAGE)) for _ in range(20)][-1]


def beyond_the_first_hop(phone: Registering) -> Response:
    request = phone.request(f"{PAGE};{INSTANCE};reg-id=1", Supported="outbound")
    request = authorized(request, phone.send(request), "bob")
    via = ("Via", "SIP/2.0/TCP 10.0.0.9;branch=z9hG4bKinner")
    fields = list(request.headers)
    at = next(number for number, (name, _) in enumerate(fields) if name == "Via")
    return phone.send(replace(request, headers=type(request.headers)([*fields[: at + 1], via, *fields[at + 1 :]])))


WRONG: list[tuple[Try, int, str]] = [
    (to_elsewhere, 404, "domain-unknown"),
    (foreign_address, 404, "domain-unknown"),
    (of_another, 403, "not-your-address"),
    (no_address, 400, "bad-address"),
    (switched_off, 403, "endpoint-disabled"),
    (out_of_order, 500, "out-of-order"),
    (too_many, 403, "too-many-contacts"),
    (too_often, 503, "register-too-often"),
    (beyond_the_first_hop, 439, "first-hop-lacks-outbound"),
    (lambda phone: phone.register("<mailto:bob@example.com>"), 400, "bad-contact"),
    (lambda phone: phone.register(f"*, {PAGE}", Expires="0"), 400, "bad-contact"),
    (lambda phone: phone.register("*"), 400, "bad-contact"),
    (lambda phone: phone.register("<sip:bob@example.com;gr=urn:uuid:1>"), 403, "bad-contact"),
    (lambda phone: phone.register(", ".join(f"<sip:{n}@x.invalid>" for n in range(11))), 403, "too-many-contacts"),
    (lambda phone: phone.register("<sip:one@x.invalid"), 400, "request-malformed"),
]


@pytest.mark.parametrize(
    ("attempt", "status", "slug"), WRONG, ids=[f"{slug}-{at}" for at, (_, _, slug) in enumerate(WRONG)]
)
def test_reg_words(link: Link, attempt: Try, status: int, slug: str) -> None:
    limits = RegistrarLimits(contacts_per_aor=2)
    phone = Registering(link, Transport.WSS, SipConfig(DOMAIN, registrar=limits, outbound_strict=True))
    answer = attempt(phone)
    warning = answer.headers.get("Warning") or ""
    assert (answer.status, warning.split('"')[1:2] and warning.split('"')[1].split()[0]) == (status, slug)
    # The word is in the catalogue, with a cause and a remedy, and what stands beside it is a sentence of its own.
    assert slug == "request-malformed" or CATALOGUE[slug.replace("-", "_")].remedy
    assert len(warning.split('"')[1].split()) > 3


@pytest.mark.parametrize(("transport", "status"), [(Transport.WS, 403), (Transport.UDP, 403), (Transport.WSS, 200)])
def test_reg_words_of_signalling_in_clear(link: Link, transport: Transport, status: int) -> None:
    """API.md 15.3: an endpoint with `encryption: required` registers over TLS or WSS only."""
    phone = Registering(link, transport)
    phone.node.accounts["bob"] = replace(phone.node.accounts["bob"], encryption="required")
    answer = phone.register(PAGE)
    assert (answer.status, "tls-required" in (answer.headers.get("Warning") or "")) == (status, status == 403)


def test_reg_words_of_an_end_are_the_apis(link: Link) -> None:
    from offhook.calls.registrations import changed
    from offhook.sip.events import BindingsChanged

    phone = Registering(link, Transport.WSS)
    phone.register(PAGE)
    phone.node.perform(Unbind(AOR))
    told = [effect for event in phone.node.events if isinstance(event, BindingsChanged) for effect in changed(event)]
    assert [one.event.type for one in told] == ["registration.added", "registration.removed"]  # type: ignore[union-attr]
    details = dict(told[1].event.details)  # type: ignore[union-attr]
    assert (details["aor"], details["reason"], details["contact"]) == (AOR, "kicked", "sip:one@x.invalid")
