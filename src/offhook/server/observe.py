"""The log: one line per event, keys and values, control characters made visible, secrets redacted.

Everything that is written goes through `clean`; nothing else in the house writes to standard output or error.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
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
LONGEST = 8_192
"""Characters of one value: a whole SIP message, no more."""


def redacted(text: str) -> str:
    """The text without passwords, digests, tokens and keys."""
    return _SECRET.sub(r"\1***", _AUTHORIZATION.sub(r"\1 ***", text))


def clean(value: Any) -> Any:
    """A value fit for one line of a log: strings redacted, cut, control characters shown as \\xNN."""
    if isinstance(value, str | bytes):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return _CONTROL.sub(lambda one: f"\\x{ord(one.group()):02x}", redacted(text)[:LONGEST])
    return value


def _clean_all(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: clean(value) for key, value in event.items()}


def set_up(level: str) -> None:
    """Begins to log to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _clean_all,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"], drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Clean("timestamp=%(asctime)s level=%(levelname)s event=%(message)r logger=%(name)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class _Clean(logging.Formatter):
    """Lines of libraries, by the same rules; a traceback becomes one line."""

    def format(self, record: logging.LogRecord) -> str:
        return str(clean(super().format(record)))


log: structlog.typing.FilteringBoundLogger = structlog.get_logger("offhook")
