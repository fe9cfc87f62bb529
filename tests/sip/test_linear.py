"""Parse time grows with the length and no faster: counted in steps of the interpreter, not with a clock.

The count sees our loops but not inside a regular expression; those are shown to be linear by their form: a repetition that
may be long is possessive, so a match never goes back, and a search begins with something that cannot repeat.
"""

import re
import re._constants as constants  # type: ignore[import-untyped]
import re._parser as parser  # type: ignore[import-untyped]
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from offhook.sip import digest, fields, framing, grammar, nonces, parse, refresh, uri
from offhook.sip.errors import PeerError
from offhook.sip.framing import StreamFramer
from offhook.sip.parse import parse_datagram, parse_websocket
from tests.sip.test_parse import octets

pytestmark = pytest.mark.source

ROOMS = (grammar, uri, fields, parse, framing, digest, nonces, refresh)


def steps(function: Callable[[], object]) -> int:
    """Bytecode instructions of our modules that a call takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        if "offhook" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except PeerError:
        pass
    finally:
        sys.settrace(before)
    return count


def feed_by_octets(data: bytes) -> None:
    framer = StreamFramer()
    for index in range(len(data)):
        list(framer.feed(data[index : index + 1]))


GROWING: dict[str, Callable[[int], bytes]] = {
    "one long value": lambda n: octets("Subject: " + "x" * 50 * n),
    "many fields": lambda n: octets(*["X-A: y"] * n),
    "many folds": lambda n: octets("Subject: a" + "\r\n b" * n),
    "spaces": lambda n: octets("Subject: a\r\n b" + " " * 50 * n + "c"),
    "commas": lambda n: octets(Via=FIRST_VIA + "," * n),
    "quoted commas": lambda n: octets("Contact: " + '"a,b" <sip:a@b>, ' * n),
    "escapes": lambda n: octets("Contact: " + '"' + "\\,\\" * n),
    "open brackets": lambda n: octets("Contact: " + "<,<" * n),
    "parameters": lambda n: octets(From="<sip:a@b>" + ';a="b"' * n),
    "spaces in parameters": lambda n: octets(From="<sip:a@b>;a" + " " * 20 * n + "b"),
    "display words": lambda n: octets(From="a " * n + "<sip:a@b>"),
    "uri parameters": lambda n: octets(From="<sip:a@b" + ";a" * n + ">"),
    "user": lambda n: octets(start=f"OPTIONS sip:{'%41' * n}@b SIP/2.0"),
    "digits": lambda n: octets(CSeq="0" * 20 * n + "1 OPTIONS"),
    "body": lambda n: octets(body=b"x" * 100 * n),
}
FIRST_VIA = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"


@pytest.mark.parametrize("parse_it", [parse_datagram, parse_websocket])
@pytest.mark.parametrize("name", GROWING)
def test_steps(name: str, parse_it: Callable[[bytes], object]) -> None:
    make = GROWING[name]
    once, twice, four = (steps(lambda n=n: parse_it(make(n))) for n in (40, 80, 160))  # type: ignore[misc]
    # Growth may stop where a limit is hit, but never speed up.
    assert four - twice <= 2.2 * max(twice - once, 0) + 200


def test_steps_of_a_framer_fed_octet_by_octet() -> None:
    def message(n: int) -> bytes:
        return b"OPTIONS sip:a SIP/2.0\r\nl: %d\r\n\r\n" % (50 * n) + b"x" * 50 * n

    once, twice, four = (steps(lambda n=n: feed_by_octets(message(n))) for n in (10, 20, 40))  # type: ignore[misc]
    assert four - twice <= 2.2 * (twice - once)


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    for module in ROOMS:
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{module.__name__}.{name}", value


def parts(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every node of a parsed pattern."""
    for operation, argument in tree:
        yield operation, argument
        yield from below(argument)


def below(argument: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(argument, parser.SubPattern):
        yield from parts(argument)
    elif isinstance(argument, (list, tuple)):
        for one in argument:
            yield from below(one)


LONG_REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT)


@pytest.mark.parametrize(
    ("name", "pattern"), list(patterns()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_pattern_goes_back(name: str, pattern: re.Pattern[Any]) -> None:
    for operation, argument in parts(parser.parse(pattern.pattern, pattern.flags)):
        if operation in LONG_REPEATS:
            assert argument[1] <= 8, f"{name} repeats up to {argument[1]} times and may go back"


SEARCHED = {"fields._ODD", "fields._SPACE", "fields._PAIR", "grammar.CONTROL", "uri._BAD", "parse._FOLD",
            "parse._QUOTED_PAIR", "framing._LENGTH"}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SEARCHED))
def test_a_search_begins_with_one_character(name: str) -> None:
    first = next(iter(parser.parse(dict(patterns())[f"offhook.sip.{name}"].pattern)))[0]
    assert first in (constants.LITERAL, constants.IN, constants.NOT_LITERAL)


def test_every_search_is_listed() -> None:
    source = "".join(open(module.__file__ or "").read() for module in ROOMS)  # noqa: SIM115
    used = set(re.findall(r"\b([A-Z_]+)\.(?:search|sub|findall|finditer|split)\(", source))
    assert used == {name.partition(".")[2] for name in SEARCHED}


def test_the_count_sees_a_square() -> None:
    """The measure itself can fail."""

    def square(n: int) -> None:
        text = "," * n
        while text:
            text = text[1:]
            fields.split_list(text)

    once, twice, four = (steps(lambda n=n: square(n)) for n in (40, 80, 160))  # type: ignore[misc]
    assert four - twice > 2.2 * (twice - once) + 200
