"""What call control tells, as events of the API: whose they are, and what they say (API.md 12.5).

Lives here: words and facts. Never here: numbers and order (events.py), what call control decides.
"""

from collections.abc import Callable
from typing import Any, Protocol

from offhook.calls.call import Call
from offhook.calls.effects import Happened
from offhook.calls.event_types import type_of
from offhook.server.events import Events


class Owner(Protocol):
    """A row of the store that belongs to a project."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str: ...


class Happenings:
    """`endpoint` finds one by user name, `trunk` by id, `call` by ref, live or just ended; `root` is the project of whatever
    belongs to no other."""

    def __init__(
        self,
        events: Events,
        root: str,
        endpoint: Callable[[str], Owner | None],
        trunk: Callable[[str], Owner | None],
        call: Callable[[str], Call | None],
    ) -> None:
        self._events, self._root = events, root
        self._endpoint, self._trunk, self._call = endpoint, trunk, call

    def told(self, happened: Happened) -> None:
        """Call control tells of something."""
        type_ = type_of(happened.type)
        if type_ is None:
            return
        details = dict(happened.details)
        if type_.startswith("call."):
            self._of_call(type_, happened, details)
        elif type_.startswith("trunk."):
            trunk = self._trunk(happened.call_ref)
            project = trunk.project_id if trunk is not None else self._root
            self._events.publish(type_, project, data={"trunk_id": happened.call_ref, **details})
        else:
            self._of_endpoint(type_, details)

    def _of_endpoint(self, type_: str, details: dict[str, str]) -> None:
        username = details.get("aor", "").partition(":")[2].partition("@")[0]
        endpoint = self._endpoint(username)
        project = endpoint.project_id if endpoint is not None else self._root
        data = {"endpoint_id": endpoint.id if endpoint is not None else None, "username": username, **details}
        self._events.publish(type_, project, data=data, endpoints=(endpoint.id,) if endpoint is not None else ())

    def _of_call(self, type_: str, happened: Happened, details: dict[str, str]) -> None:
        call = self._call(happened.call_ref)
        data: dict[str, Any] = dict(details)
        project, endpoints = self._root, tuple[str, ...]()
        if call is not None:
            data = {"from": call.from_name, "to": call.to_name, **data}
            project, endpoints = (
                self.owner(call),
                tuple(dict.fromkeys(leg.account.id for leg in call.legs if leg.account)),
            )
        self._events.publish(type_, project, happened.call_ref, happened.leg_ref, data, endpoints=endpoints)

    def owner(self, call: Call) -> str:
        """The project of who placed the call, or of the trunk it came by."""
        if call.project:
            return call.project
        caller = call.caller
        if caller.account is not None:
            endpoint = self._endpoint(caller.account.username)
            return endpoint.project_id if endpoint is not None else self._root
        trunk = self._trunk(caller.trunk.id) if caller.trunk is not None else None
        return trunk.project_id if trunk is not None else self._root
