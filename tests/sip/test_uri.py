"""URIs: parse, write, compare."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip.errors import MalformedMessage, TooLarge
from offhook.sip.uri import Uri, address_of_record, equivalent, parse_host_port, parse_uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:alice@atlanta.com", Uri("sip", "alice", "atlanta.com")),
        ("SIP:Alice@Atlanta.COM:5070", Uri("sip", "Alice", "atlanta.com", 5070)),
        (
            "sip:alice:secretword@atlanta.com;transport=tcp",
            Uri("sip", "alice", "atlanta.com", None, "secretword", {"transport": "tcp"}),
        ),
        (
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            Uri("sips", "alice", "atlanta.com", headers="subject=project%20x&priority=urgent"),
        ),
        (
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            Uri("sip", "+1-212-555-1212", "gateway.com", None, "1234", {"user": "phone"}),
        ),
        (
            "sip:atlanta.com;method=REGISTER?to=a",
            Uri("sip", None, "atlanta.com", None, None, {"method": "REGISTER"}, "to=a"),
        ),
        ("sip:alice;day=tuesday@atlanta.com", Uri("sip", "alice;day=tuesday", "atlanta.com")),
        ("sip:bob@Biloxi.com.", Uri("sip", "bob", "biloxi.com")),
        ("sip:bob@localhost.:5070;lr", Uri("sip", "bob", "localhost", 5070, None, {"lr": None})),
        ("sip:[2001:DB8::1]:5060;lr", Uri("sip", None, "[2001:db8::1]", 5060, None, {"lr": None})),
        ("sip:a@b;X=Y;x=z;empty=", Uri("sip", "a", "b", params={"x": "Y", "empty": ""})),
        ("tel:+1-201-555-0123;ext=3", Uri("tel", "+1-201-555-0123", "", params={"ext": "3"})),
        ("urn:service:sos", Uri("urn", None, "", opaque="service:sos")),
        ("soap.beep://192.0.2.103:3002", Uri("soap.beep", None, "", opaque="//192.0.2.103:3002")),
    ],
)
def test_parse_and_write(text: str, uri: Uri) -> None:
    assert parse_uri(text) == uri
    assert parse_uri(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    ["", "alice", "1sip:a@b", "sip:", "sip:@b", "sip:a@", "sip:a b@c", "sip:a@b c", "sip:a%4@b", "sip:a%zz@b",
     "sip:\u00e4@b", "sip:a@\u00e4.com", "sip:a@-b", "sip:a@b-", "sip:a@b:", "sip:a@b:x", "sip:a@b:99999", "sip:a@b:-1",
     "sip:a@b:\u0665", "sip:a@b;", "sip:a@b;=x", "sip:a@b;x=a,b", "sip:a@b;x=\"y\"", "sip:a@2001:db8::1",
     "sip:a@[2001:db8::1",     "sip:a@[::1]x", "sip:a@[fe80::1%eth0]",
     "sip:a@[192.0.2.1]", "sip:a@.", "sip:a@b..", "sip:a@b-.", "sip:a@b\r\nX: y", "<sip:a@b>", "sip:a@b\x00"],
)  # fmt: skip
def test_bad(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_uri(text)


def test_too_long() -> None:
    assert parse_uri(f"sip:{'a' * 2042}@b").host == "b"
    with pytest.raises(TooLarge, match=r"limits.max_uri \(2048\)"):
        parse_uri(f"sip:{'a' * 2043}@b")


SAME = [
    # RFC 3261 section 19.1.4
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    # RFC 1034 section 3.1: the dot that ends an absolute name
    ("sip:carol@chicago.com.", "sip:carol@chicago.com"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
    ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
]
DIFFERENT = [
    # RFC 3261 section 19.1.4
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    # And what follows from its rules
    ("sip:alice@atlanta.com", "sips:alice@atlanta.com"),
    ("sip:alice@atlanta.com", "sip:atlanta.com"),
    ("sip:alice@atlanta.com", "sip:alice:word@atlanta.com"),
    ("sip:a@b;user=phone", "sip:a@b"),
    ("sip:a@b;maddr=c", "sip:a@b"),
    ("sip:a@b;ttl=1", "sip:a@b"),
    ("sip:a%00@b", "sip:a@b"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equivalent(one: str, other: str) -> None:
    assert equivalent(parse_uri(one), parse_uri(other))
    assert equivalent(parse_uri(other), parse_uri(one))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_equivalent(one: str, other: str) -> None:
    assert not equivalent(parse_uri(one), parse_uri(other))
    assert not equivalent(parse_uri(other), parse_uri(one))


def test_user_is_unescaped_once() -> None:
    assert parse_uri("sip:a%2540b@c").unescaped_user == "a%40b"
    assert parse_uri("sip:%C3%BC%ff@c").unescaped_user == "\u00fc\ufffd"
    assert parse_uri("sip:c").unescaped_user == ""


def test_address_of_record() -> None:
    assert address_of_record(parse_uri("sip:%61lice@Example.COM:5070;lr?a=b")) == "sip:alice@example.com"


def test_host_and_port() -> None:
    assert parse_host_port("[::FFFF:192.0.2.1]:1") == ("[::ffff:192.0.2.1]", 1)
    assert parse_host_port("my_host.example.") == ("my_host.example", None)


NAMES = st.text("abcXYZ019-_.!~*'()", min_size=1, max_size=8)
HOSTS = st.sampled_from(["example.com", "192.0.2.1", "[2001:db8::1]", "a", "x-y.invalid"])
URIS = st.builds(
    Uri,
    st.sampled_from(["sip", "sips"]),
    st.none() | st.text("abcXYZ019-_.!~*'()&=+$,;?/", min_size=1, max_size=12),
    HOSTS,
    st.none() | st.integers(0, 65535),
    st.none(),
    st.dictionaries(NAMES.map(str.lower), st.none() | NAMES, max_size=3),
    st.just("") | st.just("Replaces=a%3Bb&x=y"),
)


@given(URIS)
def test_round_trip(uri: Uri) -> None:
    assert parse_uri(str(uri)) == uri
    assert equivalent(uri, parse_uri(str(uri)))


@pytest.mark.parametrize("name", ["%00x", "%0d%0aevil:%20x", "a%40b", "a%2541", "%e2%80%a8"])
def test_an_escaped_name_of_a_parameter_stays_escaped_where_it_must(name: str) -> None:
    """A Contact is written back: into a Request-URI, into the answer to REGISTER."""
    uri = parse_uri(f"sip:a@example.com;{name}=1;l%72")
    assert str(uri) == f"sip:a@example.com;{name}=1;lr"
    assert parse_uri(str(uri)) == uri
    assert "lr" in uri.params
