"""Dialogs by what devices call them: Replaces, Target-Dialog and busy lamps name a leg by Call-ID and tags.

Lives here: the look-up. Never here: who may take a dialog over.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offhook.sip.envelope import DialogKey
from offhook.sip.replaces import Named

if TYPE_CHECKING:
    from offhook.calls.leg import Leg

ENDED = 1000
"""Dialogs that are told apart from unknown ones after their end: Replaces of such a one is 603, not 481 (XFER-7)."""


@dataclass(slots=True)
class DialogNames:
    """Live legs by their dialogs, and the dialogs that ended last."""

    _legs: dict[str, list["Leg"]] = field(default_factory=dict)
    _ended: deque[DialogKey] = field(default_factory=lambda: deque(maxlen=ENDED))

    def __len__(self) -> int:
        return sum(len(legs) for legs in self._legs.values())

    def name(self, leg: "Leg", key: DialogKey) -> None:
        """The leg's dialog has both tags now; of several early ones of a branch the last counts."""
        self._drop(leg)
        leg.dialog = key
        self._legs.setdefault(key.call_id, []).append(leg)

    def ended(self, leg: "Leg") -> None:
        """The leg is done."""
        if leg.dialog is not None and self._drop(leg):
            self._ended.append(leg.dialog)

    def _drop(self, leg: "Leg") -> bool:
        call_id = leg.dialog.call_id if leg.dialog is not None else ""
        legs = self._legs.get(call_id, [])
        known = leg in legs
        if known:
            legs.remove(leg)
        if not legs:
            self._legs.pop(call_id, None)
        return known

    def find(self, named: Named) -> "Leg | None":
        """The live leg that a field names."""
        legs = self._legs.get(named.call_id, ())
        return next((leg for leg in legs if leg.dialog is not None and named.is_dialog(leg.dialog)), None)

    def of_call_id(self, call_id: str) -> "Leg | None":
        """A live leg by the Call-ID alone."""
        return next(iter(self._legs.get(call_id, ())), None)

    def has_ended(self, named: Named) -> bool:
        """True for a dialog that was here not long ago."""
        return any(named.is_dialog(key) for key in self._ended)
