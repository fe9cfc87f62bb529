"""Documents that say what becomes of a call: the routing subset of SWML and cXML as steps (API.md 8.4).

Lives here: the steps, whatever language they were written in. Never here: the languages (swml.py, cxml.py), running them
(program.py), text and fetching, which are the shell's.
"""

from dataclasses import field

from offhook.record import record

CONNECT_SECONDS, DIAL_SECONDS = 60.0, 30.0
"""Ring time of SWML `connect` and of cXML `Dial` where the document gives none."""
LONGEST_RING = 600.0
LONGEST_PAUSE = 3600.0
MOST_TARGETS = 50
"""Destinations that one document may call in one step, as `limits.fork_targets` is for devices."""
REASONS = {"hangup": "hangup", "busy": "callee_busy", "decline": "callee_declined", "rejected": "callee_declined"}
"""Words by which a document ends a call, and the codes they mean."""


@record
class StatusWish:
    """Who wants to hear of a leg. `form`: callbacks of API.md 10.2, else JSON events of 10.1. `events` are of that form's
    words; `sids`: ids are written with their two letters (13.5)."""

    url: str
    events: tuple[str, ...]
    form: bool = False
    method: str = "POST"
    sids: bool = False


@record
class Link:
    """Where a document is fetched; `cxml` tells which of the two requests of API.md 10.4 is made."""

    url: str
    method: str = "POST"
    fallback_url: str = ""
    fallback_method: str = "POST"
    cxml: bool = False


@record
class DialTarget:
    """Whom a step calls: a callable address, and how the call looks to it. `seconds` 0: the step's own time."""

    to: str
    from_: str = ""
    seconds: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    wish: StatusWish | None = None


@record
class Answer:
    """The leg is answered, if it is not yet."""

    where: str = ""


@record
class Connect:
    """Calls group after group, all of a group at once; the first who answers talks to the leg. `answers`: the leg is
    answered before anybody rings. `action` is told the outcome and its document goes on in the place of the rest."""

    groups: tuple[tuple[DialTarget, ...], ...]
    seconds: float
    answers: bool = False
    action: Link | None = None
    where: str = ""


@record
class Proceed:
    """Goes on with another document, in the place of the rest."""

    link: Link
    where: str = ""


@record
class Hangup:
    """Ends the call; `reason` is a word of `REASONS`."""

    reason: str = "hangup"
    where: str = ""


@record
class Pause:
    """Nothing happens for a while; an unanswered leg is answered first."""

    seconds: float
    where: str = ""


Step = Answer | Connect | Proceed | Hangup | Pause


@record
class Document:
    """Steps in order; after the last the call ends."""

    steps: tuple[Step, ...]
    cxml: bool = False


class Broken(Exception):
    """A document that cannot run: a code of the catalogue and a sentence that names the place."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text

    def __str__(self) -> str:
        return self.text


def invalid(where: str, text: str) -> Broken:
    """Neither SWML nor cXML, or something in it that cannot be so."""
    return Broken("document_invalid", f"{where}: {text}")


def unsupported(where: str, what: str) -> Broken:
    """A verb, or an attribute of one, that is not served here."""
    return Broken("document_verb_unsupported", f"{where}: {what} is not supported here")


def checked_url(where: str, text: object) -> str:
    """An address to fetch from. Raises Broken."""
    if not isinstance(text, str) or not text.lower().startswith(("http://", "https://")) or len(text) > 2048:
        raise invalid(where, "an http or https URL is expected")
    return text


def checked_seconds(where: str, value: object, default: float, highest: float) -> float:
    """A time in seconds, a number or its text. Raises Broken."""
    if value is None or value == "":
        return default
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= highest:
        raise invalid(where, f"seconds from 0 to {highest:g} are expected")
    return seconds
