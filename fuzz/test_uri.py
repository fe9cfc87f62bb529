"""Invariant: any text gives a URI or a PeerError; what a URI shows is read as an equivalent one."""

from hypothesis import given

from fuzz.support import fuzzed, texts
from offhook.sip.errors import PeerError
from offhook.sip.uri import address_of_record, equivalent, parse_uri

SEEDS = (
    "sip:alice@example.com",
    "sips:alice:secret@[2001:db8::1]:5061;transport=tcp;lr?Subject=x&Priority=urgent",
    "sip:%61lice%40x@example.com;user=phone;maddr=1.2.3.4",
    "tel:+1-212-555-0101;phone-context=example.com",
    "sip:a;b=c@example.com",
    "http://example.com/",
)


@fuzzed
@given(texts(*SEEDS))
def test_uri(text: str) -> None:
    try:
        uri = parse_uri(text)
    except PeerError:
        return
    again = parse_uri(str(uri))
    assert str(again) == str(uri)
    if uri.scheme in ("sip", "sips"):
        assert equivalent(uri, again)
        address_of_record(uri)
