"""What call control tells, as events of the API: whose they are, and what they say (API.md 12.5).

Lives here: words and facts. Never here: numbers and order (events.py), what call control decides.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from offhook.calls.call import Call
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.effects import Happened
from offhook.calls.event_types import type_of
from offhook.calls.explanation import explanation
from offhook.calls.leg import Leg
from offhook.server.events import Events
from offhook.server.views import direction_of
from offhook.sip.domains import parted
from offhook.sip.flow import FlowId
from offhook.sip.location import Binding
from offhook.sip.rate import Rates

LONGEST = 5_000
"""Characters of one fact: what devices and strangers write is shown, not kept whole; an event of a user has 4 KiB."""
STRANGERS = 10_000
"""Addresses of strangers whose rate is remembered."""
PER_STRANGER, AT_ONCE = 0.1, 5.0
"""Security events a second about one address, and how many at once: who knocks at every door is told of, not counted."""
ALL_STRANGERS = 10.0
"""Security events a second about all of them."""


class Owner(Protocol):
    """A row of the store that belongs to a project."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str: ...


class World(Protocol):
    """What is looked up: endpoints by user name, trunks by id, calls by ref (live or just ended), bindings by flow."""

    def endpoint(self, username: str) -> Owner | None: ...
    def owner(self, aor: str) -> Owner | None: ...
    def trunk(self, id_: str) -> Owner | None: ...
    def call(self, ref: str) -> Call | None: ...
    def on_flow(self, flow: FlowId) -> list[Binding]: ...


class Happenings:
    """`root` is the project of whatever belongs to no other; `clock` is monotonic."""

    def __init__(self, events: Events, root: str, world: World, clock: Callable[[], float]) -> None:
        self._events, self._root, self._world, self._clock = events, root, world, clock
        self._strangers = Rates(PER_STRANGER, AT_ONCE, STRANGERS)
        self._all_strangers = Rates(ALL_STRANGERS, 5 * ALL_STRANGERS, 1)
        self._left_out = 0

    def told(self, happened: Happened) -> None:
        """Call control, or the driver, tells of something."""
        type_ = type_of(happened.type)
        if type_ is None:
            return
        details = {name: _text(value) for name, value in happened.details}
        if type_.startswith("call."):
            self._of_call(type_, happened, details)
        elif type_.startswith("trunk."):
            self._of_trunk(type_, happened.call_ref, details)
        elif type_.startswith("security."):
            self._of_security(type_, happened, details)
        elif type_ == "registration.state_changed":
            self._of_flow(type_, details)
        else:
            self._of_binding(type_, details)

    def of_node(self, type_: str, data: Mapping[str, Any]) -> None:
        """The server itself."""
        self._events.publish(type_, self._root, data=data)

    # ---- devices

    def _of_binding(self, type_: str, details: dict[str, str]) -> None:
        aor = details.get("aor", "")
        endpoint = self._world.owner(aor)
        username = parted(aor.removeprefix("sip:"))[0]
        data: dict[str, Any] = {"endpoint_id": endpoint.id if endpoint is not None else None, "username": username}
        data |= {"registration_id": details.pop("id", None), **details}
        data["instance"] = details.get("instance") or None
        project = endpoint.project_id if endpoint is not None else self._root
        self._events.publish(type_, project, data=data, endpoints=(endpoint.id,) if endpoint is not None else ())

    def _of_flow(self, type_: str, details: dict[str, str]) -> None:
        for binding in self._world.on_flow(FlowId(details["flow"])):
            about = {"id": binding.id, "aor": binding.aor, "contact": str(binding.contact)}
            about |= {"instance": binding.instance or "", "user_agent": binding.user_agent}
            self._of_binding(type_, {**{name: _text(value) for name, value in about.items()}, **details})

    # ---- trunks and strangers

    def _of_trunk(self, type_: str, id_: str, details: dict[str, str]) -> None:
        trunk = self._world.trunk(id_)
        data: dict[str, Any] = {"trunk_id": id_, **details}
        if "status" in details:
            data["sip_code"] = int(data.pop("status") or 0) or None
        if details.get("code") in CATALOGUE:
            data |= {"cause": CATALOGUE[details["code"]].cause, "remedy": CATALOGUE[details["code"]].remedy}
        data["code"] = details.get("code") or None
        self._events.publish(type_, trunk.project_id if trunk is not None else self._root, data=data)

    def _of_security(self, type_: str, happened: Happened, details: dict[str, str]) -> None:
        now = self._clock()
        if not self._strangers.allow(f"{type_} {details.get('source', '')}", now):
            self._left_out += 1
            return
        if not self._all_strangers.allow("", now):
            self._left_out += 1
            return
        data = {**details, "left_out": self._left_out}
        self._left_out = 0
        call = self._world.call(happened.call_ref) if happened.call_ref else None
        endpoint = self._world.endpoint(details.get("endpoint") or details.get("user", ""))
        project, endpoints = self._root, tuple[str, ...]()
        if endpoint is not None:
            project, endpoints = endpoint.project_id, (endpoint.id,)
        if call is not None:
            project, endpoints = self.owner(call), self._endpoints(call)
        self._events.publish(type_, project, happened.call_ref, data=data, endpoints=endpoints)

    # ---- calls

    def _of_call(self, type_: str, happened: Happened, details: dict[str, str]) -> None:
        call = self._world.call(happened.call_ref)
        data: dict[str, Any] = dict(details)
        project, endpoints = self._root, tuple[str, ...]()
        if call is not None:
            leg = call.by_ref(happened.leg_ref) if happened.leg_ref else None
            data = {**_about(call, leg), **details, **_facts(type_, call, details)}
            project, endpoints = self.owner(call), self._endpoints(call)
        self._events.publish(type_, project, happened.call_ref, happened.leg_ref, data, endpoints=endpoints)

    @staticmethod
    def _endpoints(call: Call) -> tuple[str, ...]:
        ids = (leg.account.endpoint_id for leg in call.legs if leg.account)
        return tuple(dict.fromkeys(one for one in ids if one is not None))

    def owner(self, call: Call) -> str:
        """The project of who placed the call, or of the trunk it came by."""
        if call.project:
            return call.project
        caller = call.caller
        if caller.account is not None and caller.account.project:
            return caller.account.project
        if caller.account is not None:
            endpoint = self._world.endpoint(caller.account.username)
            return endpoint.project_id if endpoint is not None else self._root
        trunk = self._world.trunk(caller.trunk.id) if caller.trunk is not None else None
        return trunk.project_id if trunk is not None else self._root


def _text(value: str) -> str:
    """One fact, short enough, of characters alone."""
    cut = value[:LONGEST]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode()


def _about(call: Call, leg: Leg | None) -> dict[str, Any]:
    """Which call it is, and which leg of it."""
    data: dict[str, Any] = {"from": call.from_name, "to": call.to_name, "direction": direction_of(call)}
    if leg is not None:
        data["leg"] = {
            "role": leg.role,
            "endpoint_id": leg.account.endpoint_id if leg.account else None,
            "username": parted(leg.account.username)[0] if leg.account else None,
            "trunk_id": leg.trunk.id or None if leg.trunk else None,
            "user_agent": leg.user_agent[:200],
            "transport": leg.flow.transport.value.lower(),
            "source": f"{leg.flow.remote[0]}:{leg.flow.remote[1]}",
        }
    return data


def _facts(type_: str, call: Call, details: Mapping[str, str]) -> dict[str, Any]:
    """What this type of event says besides."""
    if type_ == "call.answered" and call.answered_at is not None:
        return {"setup_ms": int((call.answered_at - call.created_at) * 1000)}
    if type_.startswith("call.finding_"):
        row = CATALOGUE[details["code"]]
        return {"severity": row.severity, "cause": row.cause, "remedy": row.remedy}
    if type_ != "call.ended":
        return {}
    code = call.end_code or details["code"]
    talked = call.ended_at - call.answered_at if call.ended_at is not None and call.answered_at is not None else 0.0
    facts = {
        "end_code": code,
        "end_reason": CATALOGUE[code].end or None if code in CATALOGUE else None,
        "ended_by": call.ended_by or details["by"],
        "answered": call.answered_at is not None,
        "duration_ms": int(talked * 1000),
        "explanation": explanation(call)[:LONGEST] or None,
        "findings": sorted({one.code for leg in call.legs for one in leg.findings}),
    }
    return {**facts, "code": code}
