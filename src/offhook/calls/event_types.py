"""Every type of event that the events API knows (API.md 12.5), and which of call control's own names mean one.

Lives here: names. Never here: what an event says (server/happenings.py).
"""

CALL = frozenset(
    f"call.{name}"
    for name in [
        "created",
        "ringing",
        "answered",
        "held",
        "resumed",
        "transferred",
        "detached",
        "moved",
        "user_event",
        "ended",
        "finding_raised",
        "finding_cleared",
    ]
)
REGISTRATION = frozenset({"registration.added", "registration.removed", "registration.state_changed"})
TRUNK = frozenset({"trunk.up", "trunk.down", "trunk.degraded", "trunk.registered", "trunk.registration_failed"})
SECURITY = frozenset({"security.login_locked", "security.source_refused", "security.call_refused"})
NODE = frozenset({"webhook.failed", "config.changed", "node.started", "node.draining"})

TYPES = CALL | REGISTRATION | TRUNK | SECURITY | NODE

_RENAMED = {"trunk.registration_registered": "trunk.registered"}


def type_of(name: str) -> str | None:
    """The type by which the API tells what call control calls `name`; None for what only the log and traces hear."""
    shown = _RENAMED.get(name, name)
    return shown if shown in TYPES else None


def matches(type_: str, patterns: tuple[str, ...]) -> bool:
    """True if a type is wanted: each pattern is a type, or a family as `call.*`; no pattern at all wants everything."""
    return not patterns or any(
        one == type_ or (one.endswith(".*") and type_.startswith(one[:-1])) or one == "*" for one in patterns
    )


FAMILIES = tuple(sorted({f"{one.partition('.')[0]}.*" for one in TYPES}))
"""A pattern for each family of types."""


def known(pattern: str) -> bool:
    """True for a type, a family that has types, or `*`."""
    return (
        pattern in TYPES
        or pattern == "*"
        or (pattern.endswith(".*") and any(matches(one, (pattern,)) for one in TYPES))
    )
