"""The log: one line per event, as keys and values or as JSON, control characters made visible, secrets redacted
(docs/help/log.md).

Everything that is written goes through `clean`; nothing else in the house writes to standard output or error.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SECRET = re.compile(
    r"""(?ix)
    (\b(?:response|nonce|cnonce|password|token|access_token|ice-pwd|inline|a=ice-pwd|secret)\s*[=:]\s*"?)
    [^"\s,;&]+
    """
)
_AUTHORIZATION = re.compile(r"(?im)^((?:proxy-)?authorization\s*:).*$")
_WORDS = ("respons", "nonce", "passw", "token", "ice-pwd", "inline", "secret", "authoriz")
"""Every text that the two above change has one of these in it; looking for them is many times cheaper."""
LONGEST = 8_192
"""Characters of one value: a whole SIP message, no more."""


def _suspect(text: str) -> bool:
    return any(map(text.__contains__, _WORDS))


def redacted(text: str) -> str:
    """The text without passwords, digests, tokens and keys."""
    if text.isascii() and not _suspect(text.lower()):
        return text
    return _SECRET.sub(r"\1***", _AUTHORIZATION.sub(r"\1 ***", text))


def clean(value: Any) -> Any:
    """A value fit for one line of a log: strings redacted, cut, control characters shown as \\xNN, also inside of others."""
    if isinstance(value, str | bytes):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        text = redacted(text)[:LONGEST]
        return text if text.isprintable() else _CONTROL.sub(lambda one: f"\\x{ord(one.group()):02x}", text)
    if isinstance(value, dict):
        return {str(clean(name)): clean(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [clean(one) for one in value]
    return value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _line(_: Any, level: str, event: MutableMapping[str, Any]) -> str:
    """One event as `timestamp='…' level='…' event='…'` and its facts."""
    facts = "".join([f" {key}={clean(value)!r}" for key, value in event.items() if key != "event"])
    return f"timestamp='{_now()}' level={level!r} event={clean(event.get('event'))!r}{facts}"


def _json(_: Any, level: str, event: MutableMapping[str, Any]) -> str:
    """The same as one object of JSON, in ASCII."""
    facts = {key: clean(value) for key, value in event.items() if key != "event"}
    return json.dumps(
        {"timestamp": _now(), "level": level, "event": clean(event.get("event")), **facts}, default=_shown
    )


def _shown(value: object) -> Any:
    """What JSON has no word for."""
    return clean(repr(value))


def request_id() -> str:
    """Of the REST request that is served just now; empty where none is."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def set_up(level: str, form: str = "text") -> None:
    """Begins to log to standard error; `form` is `text` or `json`."""
    line = _json if form == "json" else _line
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Library(line))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class _Library(logging.Formatter):
    """Lines of libraries, by the same rules; a traceback becomes one line."""

    def __init__(self, line: Callable[[Any, str, MutableMapping[str, Any]], str]) -> None:
        super().__init__()
        self._line = line

    def format(self, record: logging.LogRecord) -> str:
        facts = {"event": record.getMessage(), "logger": record.name}
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return self._line(None, record.levelname.lower(), facts)


log: structlog.typing.FilteringBoundLogger = structlog.get_logger("offhook")
