"""Documents as text (API.md 8.4): both languages in every form, each fault with its place, hostile ones refused."""

import pytest

from offhook.calls.document import (
    Answer,
    Broken,
    Connect,
    DialTarget,
    Document,
    Hangup,
    Link,
    Pause,
    Proceed,
    StatusWish,
)
from offhook.server.document_text import read_document, read_inline

BASE = "https://example.com/flows/main.xml"
JSON = (
    b'{"version":"1.0.0","sections":{"main":[{"answer":{}},{"connect":{"to":"+15125550100","timeout":25}},"hangup"]}}'
)
YAML = b"""
version: 1.0.0
sections:
  main:
    - answer: {}
    - connect:
        to: '+15125550100'
        timeout: 25
    - hangup
"""


def xml(inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{inner}</Response>'.encode()


def broken(text: bytes) -> Broken:
    with pytest.raises(Broken) as caught:
        read_document(text, BASE)
    return caught.value


def test_json_and_yaml_mean_the_same() -> None:
    assert read_document(JSON, BASE) == read_document(YAML, BASE)
    answer, connect, hangup = read_document(JSON, BASE).steps
    assert isinstance(answer, Answer)
    assert isinstance(connect, Connect)
    assert connect.groups == ((DialTarget("+15125550100", seconds=25.0),),)
    assert connect.seconds == 25
    assert not connect.answers
    assert hangup == Hangup("hangup", "sections.main[2].hangup")


def test_a_command_may_give_an_object_or_text() -> None:
    value = {"sections": {"main": [{"transfer": {"dest": "https://example.com/next"}}]}}
    assert read_inline(value).steps == (Proceed(Link("https://example.com/next"), "sections.main[0].transfer"),)
    assert read_inline(JSON.decode()) == read_document(JSON, BASE)


@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ("serial: [{to: a}, {to: b, timeout: 5}]", ((DialTarget("a"),), (DialTarget("b", seconds=5.0),))),
        ("parallel: [{to: a}, b]", ((DialTarget("a"), DialTarget("b")),)),
        ("serial_parallel: [[{to: a}, {to: b}], [{to: c}]]", ((DialTarget("a"), DialTarget("b")), (DialTarget("c"),))),
        ("to: a, from: '+15125550100'", ((DialTarget("a", "+15125550100"),),)),
        ("to: a, headers: [{name: X-One, value: '1'}]", ((DialTarget("a", headers=(("X-One", "1"),)),),)),
    ],
)
def test_every_shape_of_connect(shape: str, groups: tuple[tuple[DialTarget, ...], ...]) -> None:
    step = read_document(f"sections: {{main: [{{connect: {{{shape}}}}}]}}".encode(), BASE).steps[0]
    assert isinstance(step, Connect)
    assert step.groups == groups


def test_every_verb_of_cxml() -> None:
    document = read_document(
        xml(
            '<Pause length="2"/><Dial timeout="9" callerId="+15125550100" action="next" method="GET">'
            '<Number statusCallback="/s" statusCallbackEvent="ringing completed">+14155550123</Number>'
            "<Sip username='u' password='p'>sip:x@example.com</Sip><Client>bob</Client></Dial>"
            "<Redirect>http://other.example/</Redirect><Reject reason='busy'/><Hangup/>"
        ),
        BASE,
    )
    pause, dial, redirect, reject, hangup = document.steps
    assert pause == Pause(2.0, "line 2: Pause")
    assert isinstance(dial, Connect)
    assert (dial.seconds, dial.answers) == (9, True)
    assert dial.action == Link("https://example.com/flows/next", "GET", cxml=True)
    wish = StatusWish("https://example.com/s", ("ringing", "completed"), form=True)
    assert dial.groups[0] == (
        DialTarget("+14155550123", "+15125550100", wish=wish),
        DialTarget("sip:x@example.com", "+15125550100", username="u", password="p"),
        DialTarget("client:bob", "+15125550100"),
    )
    assert redirect == Proceed(Link("http://other.example/", cxml=True), "line 2: Redirect")
    assert (reject, hangup) == (Hangup("busy", "line 2: Reject"), Hangup(where="line 2: Hangup"))
    assert document.cxml
    assert read_document(xml(""), BASE) == Document((), cxml=True)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (xml("\n<Say>hello</Say>"), "document_verb_unsupported", "line 3: the verb Say"),
        (xml("<Dial><Conference>x</Conference></Dial>"), "document_verb_unsupported", "the noun Conference"),
        (xml('<Dial record="true">+1</Dial>'), "document_verb_unsupported", "the attribute record"),
        (xml("<Dial/>"), "document_invalid", "destinations"),
        (xml('<Dial timeout="soon">+1415</Dial>'), "document_invalid", "seconds"),
        (xml("<Redirect>file:///etc/passwd</Redirect>"), "document_invalid", "http or https"),
        (b"<Other/>", "document_invalid", "Response"),
        (b"<Response>", "document_invalid", "line 1"),
        (b"", "document_invalid", "document"),
        (b"\xff\xfe\x00", "document_invalid", "UTF-8"),
        (b"{", "document_invalid", "JSON"),
        (b"sections: [", "document_invalid", "line"),
        (b"[1, 2]", "document_invalid", "object"),
        (b"sections: {main: {}}", "document_invalid", "main"),
        (b"sections: {main: [{play: {url: x}}]}", "document_verb_unsupported", "sections.main[0].play"),
        (b"sections: {main: [{connect: {to: a, ringback: [x]}}]}", "document_verb_unsupported", "ringback"),
        (b"sections: {main: [{connect: {}}]}", "document_invalid", "exactly one of"),
        (b"sections: {main: [{connect: {to: a, headers: {Via: x}}}]}", "document_invalid", "X-"),
        (b'{"sections":{"main":[{"connect":{"to":"a","headers":{"X-A":"b\\r\\nVia: c"}}}]}}', "document_invalid", "X-A"),
        (b"sections: {main: [{transfer: other}]}", "document_verb_unsupported", "transfer"),
        (b"sections: {main: [{hangup: {reason: tired}}]}", "document_invalid", "reason"),
        (b"sections: {main: [], other: []}", "document_verb_unsupported", "other"),
    ],
)  # fmt: skip
def test_every_fault_says_where(text: bytes, code: str, words: str) -> None:
    fault = broken(text)
    assert fault.code == code
    assert words in fault.text


@pytest.mark.parametrize(
    "text",
    [
        # entities and document types: files, networks, a billion laughs
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><Response>&x;</Response>',
        b'<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><Response>&b;</Response>',
        b"<Response>" + b"<Dial>" * 40 + b"</Dial>" * 40 + b"</Response>",
        # aliases and tags
        b"a: &a [x, x]\nb: [*a, *a]\nsections: {main: []}",
        b"sections: !!python/object/apply:os.system ['true']",
        b"[" * 5_000 + b"]" * 5_000,
        b'{"sections":' + b"[" * 100_000,
        b"sections: {main: " + b"[" * 400 + b"]" * 400 + b"}",
    ],
)
def test_hostile_documents_are_refused_at_once(text: bytes) -> None:
    assert broken(text).code == "document_invalid"
