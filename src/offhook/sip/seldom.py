"""Lines of the log that strangers can provoke: no more than one a second, because a flood must not fill the disk."""

from offhook.sip.effects import Note
from offhook.sip.transaction.machine import Effect

NOTES_APART = 1.0
"""Seconds between two lines."""


class Seldom:
    """Owned by whoever refuses strangers."""

    def __init__(self) -> None:
        self._noted_at = -NOTES_APART

    def note(self, slug: str, details: dict[str, str], now: float) -> list[Effect]:
        """The line, or nothing when the last one was too lately."""
        if now - self._noted_at < NOTES_APART:
            return []
        self._noted_at = now
        return [Note(slug, details)]
