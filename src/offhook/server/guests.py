"""Callers who have no row: the accounts that names of guests describe, and what each may call (API.md 4.3)."""

import secrets
from typing import TYPE_CHECKING

from offhook.sip import guests
from offhook.sip.domains import parted
from offhook.sip.guests import WIDGET, Guest
from offhook.sip.location import Account
from offhook.sip.secret import Secret

if TYPE_CHECKING:
    from offhook.server.directory import Store

CALLS, CALLS_OF_WIDGET = 2, 1
"""Calls at a time of one token: a guest may have a second one waiting, a widget's token is for one."""


class Guests:
    """Reads never wait."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        # Never compared: a guest has no password of his own. Random all the same, so that nothing depends on it.
        self._nothing = Secret(secrets.token_hex(32))

    def account(self, name: str) -> Account | None:
        """The account of a guest's name; None for another name, for a widget's that is gone, and in another domain than that
        of the addresses' project."""
        user, domain = parted(name)
        guest = guests.read(user)
        project = self.project(guest) if guest is not None else None
        if guest is None or domain != (self._store.endpoints.domain_of(project) if project is not None else ""):
            return None
        line_calls = 0
        if guest.tier == WIDGET:
            widget = self._store.resources.get(guest.widget)
            if widget is None or (widget.settings["address_id"],) != guest.addresses:
                return None
            line_calls = widget.settings["max_calls"]
        return Account(
            id=name,
            username=name,
            realm=self._store.endpoints.realm_of(project or "") or self._store.space.realm,
            ha1_md5=self._nothing,
            ha1_sha256=self._nothing,
            caller_id=guest.tier.capitalize(),
            max_calls=CALLS_OF_WIDGET if guest.tier == WIDGET else CALLS,
            tier=guest.tier,
            project=project or "",
            line=guest.widget,
            line_calls=line_calls,
        )

    def project(self, guest: Guest) -> str | None:
        """Whose addresses a guest may call."""
        found = (self._store.addresses.get(one) for one in guest.addresses)
        return next((one.project_id for one in found if one is not None), None)
