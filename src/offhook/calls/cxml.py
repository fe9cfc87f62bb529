"""cXML, the routing subset: `Dial Hangup Reject Redirect Pause` (API.md 8.4), from the plain tree that the shell reads."""

from urllib.parse import urljoin

from offhook.calls.document import (
    DIAL_SECONDS,
    LONGEST_PAUSE,
    LONGEST_RING,
    MOST_TARGETS,
    Connect,
    DialTarget,
    Document,
    Hangup,
    Link,
    Pause,
    Proceed,
    StatusWish,
    Step,
    checked_seconds,
    checked_url,
    invalid,
    unsupported,
)
from offhook.record import record

NOUNS = ("Number", "Sip", "Client")
DIAL = frozenset({"timeout", "callerId", "answerOnBridge", "action", "method"})
NOUN = frozenset(
    {"statusCallback", "statusCallbackEvent", "statusCallbackMethod", "username", "password", "url", "method"}
)
CALLBACKS = ("initiated", "ringing", "answered", "completed")
"""Words of `statusCallbackEvent`; without it the last alone is told."""


@record
class Element:
    """One element: `line` counts from 1, `text` is all text directly in it."""

    name: str
    line: int
    attributes: dict[str, str]
    text: str
    children: "tuple[Element, ...]"


def read(root: Element, base: str) -> Document:
    """The document as steps; relative URLs begin at `base`, where it came from. Raises Broken, naming verb and line."""
    if root.name != "Response":
        raise invalid(f"line {root.line}", f"the root element must be Response, not {root.name[:64]}")
    return Document(tuple(_step(one, base) for one in root.children), cxml=True)


def _step(element: Element, base: str) -> Step:
    where = f"line {element.line}: {element.name[:64]}"
    match element.name:
        case "Dial":
            return _dial(element, where, base)
        case "Hangup":
            return Hangup(where=where)
        case "Reject":
            reason = element.attributes.get("reason", "rejected")
            if reason not in ("rejected", "busy"):
                raise invalid(where, "reason must be one of: rejected, busy")
            return Hangup(reason, where)
        case "Redirect":
            return Proceed(_link(where, element.text.strip(), element.attributes.get("method"), base), where)
        case "Pause":
            return Pause(checked_seconds(where, element.attributes.get("length"), 1.0, LONGEST_PAUSE), where)
        case _:
            raise unsupported(f"line {element.line}", f"the verb {element.name[:64]}")


def _dial(element: Element, where: str, base: str) -> Step:
    given = element.attributes
    _known(given, DIAL, where)
    shown = given.get("callerId", "")
    targets = [_noun(one, shown, base) for one in element.children]
    text = element.text.strip()
    if text:
        if targets:
            raise invalid(where, "either a number or nouns are expected, not both")
        targets = [DialTarget(text, shown)]
    if not 1 <= len(targets) <= MOST_TARGETS:
        raise invalid(where, f"1 to {MOST_TARGETS} destinations are expected")
    action = _link(where, given["action"], given.get("method"), base) if given.get("action") else None
    seconds = checked_seconds(where, given.get("timeout"), DIAL_SECONDS, LONGEST_RING)
    answers = given.get("answerOnBridge", "false").lower() != "true"
    return Connect((tuple(targets),), seconds, answers, action, where)


def _noun(element: Element, shown: str, base: str) -> DialTarget:
    where = f"line {element.line}: {element.name[:64]}"
    if element.name not in NOUNS:
        raise unsupported(f"line {element.line}", f"the noun {element.name[:64]}")
    given, text = element.attributes, element.text.strip()
    _known(given, NOUN - {"url", "method"}, where)
    if not text or element.children:
        raise invalid(where, "a destination is expected")
    if element.name == "Client" and ":" not in text:
        text = f"client:{text}"
    if element.name == "Sip" and not text.lower().startswith(("sip:", "sips:")):
        raise invalid(where, "a sip or sips URI is expected")
    return DialTarget(
        text,
        shown,
        username=given.get("username", ""),
        password=given.get("password", ""),
        wish=_wish(given, where, base),
    )


def _wish(given: dict[str, str], where: str, base: str) -> StatusWish | None:
    if not given.get("statusCallback"):
        return None
    url = checked_url(where, urljoin(base, given["statusCallback"]))
    events = tuple(given.get("statusCallbackEvent", "completed").split())
    if any(one not in CALLBACKS for one in events):
        raise invalid(where, f"statusCallbackEvent must be of: {', '.join(CALLBACKS)}")
    return StatusWish(url, events, form=True, method=_method(where, given.get("statusCallbackMethod")))


def _known(given: dict[str, str], names: frozenset[str], where: str) -> None:
    for name in given:
        if name not in names:
            raise unsupported(where, f"the attribute {name[:64]}")


def _link(where: str, text: str, method: str | None, base: str) -> Link:
    return Link(checked_url(where, urljoin(base, text)), _method(where, method), cxml=True)


def _method(where: str, text: str | None) -> str:
    method = (text or "POST").upper()
    if method not in ("GET", "POST"):
        raise invalid(where, "method must be GET or POST")
    return method
