"""Registrations and provisioning as the API shows them (API.md 11, 12.2)."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from offhook.calls.commands import HangUpCall
from offhook.calls.leg import Leg
from offhook.calls.routing import PRIVATE
from offhook.server.reach import websocket_urls
from offhook.server.views import iso
from offhook.sip import ephemeral, guests
from offhook.sip.domains import name_of, parted
from offhook.sip.flow import FlowId
from offhook.sip.location import Binding, device_name
from offhook.sip.tokens import MEMBER

if TYPE_CHECKING:
    from offhook.server.app import App


LONGEST = 300
"""Seconds: routers forget a UDP flow sooner, and who asks for more learns late that its connection is gone."""


def rows(app: "App", now: float) -> list[dict[str, Any]]:
    """Every live binding."""
    legs = [leg for call in app.driver.switchboard.calls() for leg in call.legs]
    calls = Counter(leg.flow.id for leg in legs if not leg.detached)
    return [_row(app, one, calls, now) for one in app.store.bindings if one.expires_at > now]


def _row(app: "App", one: Binding, calls: Counter[FlowId], now: float) -> dict[str, Any]:
    name = name_of(one.aor, app.store.space.domain)
    endpoint = app.store.endpoints.named(name)
    device = app.store.devices.of(endpoint.id, one.instance) if endpoint is not None else None
    return {
        "id": one.id,
        "endpoint_id": endpoint.id if endpoint is not None else None,
        "username": parted(name)[0],
        "aor": one.aor,
        "contact": str(one.contact),
        "instance_id": device_name(one.instance) or None,
        "reg_id": one.reg_id,
        "device_id": device.id if device is not None else None,
        "path": list(one.path),
        "state": _state(app, one),
        "transport": one.flow.transport.value.lower(),
        "source": f"{one.flow.remote[0]}:{one.flow.remote[1]}",
        "user_agent": one.user_agent,
        "auth": one.auth or None,
        "rtt_ms": _rtt(app, one),
        "warnings": warnings(one),
        "registered_at": iso(one.registered_at, now),
        "refreshed_at": iso(one.refreshed_at, now),
        "expires_at": iso(one.expires_at, now),
        "last_seen_at": iso(one.refreshed_at, now),
        "calls": calls[one.flow.id],
        "node": app.platform.node,
    }


def device_of(app: "App", leg: Leg) -> str | None:
    """The id of the device whose registration came by the leg's flow; None when none has."""
    endpoint_id = leg.account.endpoint_id if leg.account is not None else None
    if leg.account is None or endpoint_id is None:
        return None
    known = app.store.devices.by_flow(endpoint_id, leg.flow.id)
    if known is not None:
        return known
    # It has not registered since we started.
    bound = app.store.find(app.store.aor(leg.account.username))
    mine = [one for one in bound if one.flow.id == leg.flow.id and not one.path]
    device = app.store.devices.of(endpoint_id, mine[0].instance) if mine else None
    return device.id if device is not None else None


def warnings(one: Binding) -> list[str]:
    """What the registration itself says of a device that will give trouble."""
    too_long = one.expires_at - one.refreshed_at > LONGEST
    return ["register_expires_too_long"] if too_long else []


def _rtt(app: "App", one: Binding) -> int | None:
    """Milliseconds of the last ping of a WebSocket, or of the last OPTIONS of a UDP phone."""
    path = app.flows.get(one.flow.id)
    seconds = getattr(path, "rtt", None) if path is not None else app.driver.endpoint.rtt(one.flow.id)
    return round(1000 * seconds) if seconds is not None else None


def endpoint_state(app: "App", username: str, now: float) -> dict[str, Any]:
    """What an endpoint does now, from its devices and its calls."""
    endpoint, account = app.store.endpoints.named(username), app.store.account(username)
    assert endpoint is not None
    assert account is not None
    bindings = app.store.find(app.store.aor(username))
    legs = [
        leg
        for call in app.driver.switchboard.calls()
        for leg in call.live
        if leg.account and leg.account.id == endpoint.id
    ]
    reachable = any(_state(app, one) in ("reachable", "unknown") for one in bindings)
    if not bindings:
        presence = "offline"
    elif any(leg.confirmed for leg in legs):
        presence = "busy"
    elif legs:
        presence = "ringing"
    else:
        presence = "do_not_disturb" if account.do_not_disturb else "available"
    return {
        "id": endpoint.id,
        "username": endpoint.username,
        "registered": bool(bindings),
        "reachable": reachable,
        "registrations": len(bindings),
        "calls": len(legs),
        "presence": presence,
    }


def _state(app: "App", one: Binding) -> str:
    """A datagram says nothing about who is there, and a phone that is to be dialled back has no flow."""
    if not one.flow.transport.reliable or not one.attached:
        return "unknown"
    return app.driver.endpoint.reachability(one.flow.id).value


def kick(app: "App", id_: str, hang_up: bool) -> bool:
    """Takes a binding away; a WebSocket is closed, so that its page knows. False if there is none."""
    found = next((one for one in app.store.bindings if one.id == id_), None)
    if found is None:
        return False
    if hang_up:
        for call in app.driver.switchboard.calls():
            if any(leg.flow.id == found.flow.id for leg in call.legs):
                app.driver.command(HangUpCall(call.ref, "kicked"))
    app.authenticator.forget_flow(found.flow.id)
    app.driver.unbind(found.aor, found.id)
    if found.flow.transport.websocket:
        app.sockets.close(found.flow.id, 1008, "kicked")
    return True


def provision(app: "App", username: str, seconds: int, origin: str, asked: str, now: float) -> dict[str, Any] | None:
    """Credentials for a page, of an endpoint or a guest by name (offhook.sip.domains), which end after `seconds`; `asked`:
    under which URL they were asked for. None when nobody is called so any more."""
    account, endpoint = app.store.account(username), app.store.endpoints.named(username)
    if account is None:
        return None
    token, ends = app.tokens.mint(username, seconds, origin, account.tier, account.realm)
    plain, own = parted(username)
    user = ephemeral.write(plain, ends)
    domain = own or (app.profiles.domain(endpoint.project_id) if endpoint is not None else app.store.space.domain)
    aor, expires_at = f"sip:{plain}@{domain}", iso(now + seconds, now)
    name = account.caller_id or plain
    return {
        "sip": {
            "uri": aor,
            "display_name": name,
            "domain": domain,
            "registrar_server": f"sip:{domain}",
            "extension": endpoint.offhook.get("extension") if endpoint is not None else None,
            "websocket_urls": websocket_urls(app, asked),
            "expires_at": expires_at,
        },
        "jssip": {
            "uri": aor,
            "display_name": name,
            "authorization_user": user,
            "password": app.authenticator.ephemeral_password(user, own).reveal(),
            "realm": account.realm,
            "registrar_server": f"sip:{domain}",
            "register": account.tier == MEMBER,
            "register_expires": 300,
            "session_timers": True,
        },
        "token": {"value": token, "expires_at": expires_at},
        "media": {"ice_servers": [], "codecs": list(account.codecs), "max_calls": account.max_calls},
        "grace_seconds": round(app.settings.limits.flow_grace),
        "destinations": _destinations(app, username, domain),
        "reports": "/api/offhook/calls/{call_ref}/client_reports",
    }


def _destinations(app: "App", username: str, domain: str) -> dict[str, str]:
    """Whom a page may offer to call: what tries the sound, or all that a guest may call."""
    guest = guests.read(parted(username)[0])
    if guest is None or app.store.endpoints.named(username) is not None:
        return {name: f"sip:{name}@{domain}" for name in ("echo", "test")}
    found = (app.store.addresses.get(one) for one in guest.addresses)
    return {one.name: f"sip:{PRIVATE}{one.name}@{domain}" for one in found if one is not None}
