"""Placing and steering calls: `/api/calling/calls` (API.md section 8)."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.auth import Calling
from offhook.api.call_ports import CallDesk, Wished
from offhook.api.describe import anything, described, identifier, listing, loose, moment, nullable, number, record, text
from offhook.api.describe import list_of as listed
from offhook.api.dial_fields import DIAL, Reader
from offhook.api.errors import ApiError, Fault, Invalid, not_found
from offhook.api.paging import page
from offhook.api.ports import Platform, TokenRow
from offhook.api.record_fields import pause_recording, resume_recording, start_recording, stop_recording
from offhook.api.requests import body_object, note_names
from offhook.api.streams import start_stream, stop_stream
from offhook.calls.commands import (
    ConnectLeg,
    EndLeg,
    HoldLeg,
    LegCommand,
    Listen,
    PartLegs,
    PressDigits,
    ReferLeg,
    StartRecording,
    StartStream,
    TellUserEvent,
)
from offhook.calls.document import StatusWish
from offhook.calls.reports import STATES
from offhook.sip.grammar import CONTROL
from offhook.sip.secret import Secret

PATH = "/api/calling/calls"
REASONS = ("hangup", "cancel", "busy", "noAnswer", "decline", "error")
USER_EVENT = 4096
"""Bytes of a user's own event."""
LATER = ("play", "collect", "detect", "tap", "denoise")
NEVER = ("transcribe", "live_", "ai_", "ai", "send_fax", "receive_fax")
COMMAND = record("Command", "command", command=text(), id=text(), params=loose())
LEG = record(
    "Leg", "id", "from", "to", "direction", "status", "type", "offhook",
    id=identifier(), to=text(), direction=text(), status=text(), type=text(), source=nullable(text()), url=nullable(text()),
    parent_id=nullable(identifier()), duration=nullable(number()), duration_ms=nullable(number()),
    billing_ms=nullable(number()), charge=number(), charge_details=listed(anything()), created_at=moment(), offhook=loose(),
    **{"from": text()},
)  # fmt: skip
router = APIRouter(tags=["Calling"])


def _desk(request: Request) -> CallDesk:
    platform: Platform = request.app.state.platform
    return platform.call_desk


@router.get(PATH, **described(gives=listing(LEG)))
async def list_legs(request: Request, token: Calling) -> dict[str, Any]:
    """Live legs, newest first, and those that wait to be placed."""
    rows = _desk(request).legs(token.project_id)
    return page(rows, lambda row: str(row["id"]), lambda row: row, PATH, dict(request.query_params))


@router.get(PATH + "/{id_}", **described(gives=LEG))
async def show_leg(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One leg, by any of its ids, also after its end."""
    return await _leg(_desk(request), token, id_)


async def _leg(desk: CallDesk, token: TokenRow, id_: str) -> dict[str, Any]:
    leg = await desk.leg(token.project_id, id_)
    if leg is None:
        raise not_found("call_not_found", "No call has this id")
    return leg


@router.post(PATH, **described(takes=COMMAND, gives=LEG))
async def command_call(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """`dial` places a call; every other command is about the leg whose id it names. 200 means accepted, the outcome is an
    event."""
    body = await body_object(request)
    command = body.get("command")
    if command is None or command == "":
        raise Invalid(Fault("command", "missing_required_parameter", "command is required"))
    params = body.get("params")
    if params is None:
        params = {}
    if not isinstance(command, str) or not isinstance(params, dict):
        raise Invalid(Fault("params", "invalid_parameter", "Command must be text and params an object"))
    if command == "dial":
        note_names(response, [name for name in params if name not in DIAL])
        return await _dial(request, token, params)
    return await _command(request, token, command, body.get("id"), params)


async def _dial(request: Request, token: TokenRow, params: Mapping[str, Any]) -> dict[str, Any]:
    platform: Platform = request.app.state.platform
    desk = platform.call_desk
    reader = Reader(desk, token.project_id, platform.domain_of(token.project_id), params, platform.new_id)
    command = await reader.dial(platform.new_id(), platform.custom_variables)
    if not reader.faults:
        wrong = desk.refusal(token.project_id, command)
        if wrong is not None:
            reader.fault(*wrong)
    if reader.faults:
        raise Invalid(*reader.faults)
    url = params.get("url")
    leg = desk.place(command, url if isinstance(url, str) else "")
    if leg is None:
        text = "Too many calls of this project wait to be placed (limits.dial_backlog)"
        raise ApiError(429, "max_queued_calls_exceeded", text, {"Retry-After": "5"})
    return leg


# ---- commands on a leg

Made = Callable[[Reader, str, Mapping[str, Any]], Awaitable[Sequence[Wished]]]


async def _command(
    request: Request, token: TokenRow, command: str, id_: Any, params: Mapping[str, Any]
) -> dict[str, Any]:
    platform: Platform = request.app.state.platform
    desk = platform.call_desk
    make = COMMANDS.get(command)
    lacking = None if make is not None else _lacking(command)
    if make is None and lacking is None:
        text = f"{command[:64]} is not a command; known: dial, {', '.join(sorted(COMMANDS))}"
        raise Invalid(Fault("command", "invalid_command_attempted", text))
    id_ = params.get("id") if command == "update" else id_
    if not isinstance(id_, str) or not id_:
        raise Invalid(Fault("id", "missing_required_parameter", "id is required"))
    shown = await desk.leg(token.project_id, id_)
    ended = shown is not None and shown["status"] in ENDED
    if shown is None or (ended and command != "update"):
        raise not_found("call_not_found", "No live call has this id")
    if lacking is not None:
        raise Invalid(Fault("command", "feature_not_available", lacking))
    assert make is not None
    reader = Reader(desk, token.project_id, platform.domain_of(token.project_id), params, platform.new_id)
    if command == "update":
        _may_update(reader, params, str(shown["status"]))
    made = await make(reader, id_, params)
    if reader.faults:
        raise Invalid(*reader.faults)
    for one in made:
        wrong = desk.judge(token.project_id, one)
        if wrong is not None and wrong[0] in ("call_not_found", "not_found"):
            raise not_found(*wrong)
        if wrong is not None:
            raise Invalid(Fault("control_id" if wrong[0] == "not_unique_within_project" else "id", *wrong))
    for one in made:
        desk.perform(one)
    leg = await _leg(desk, token, id_)
    started = next((one.control for one in made if isinstance(one, StartStream | StartRecording)), None)
    return leg if started is None else {**leg, "offhook": {**leg["offhook"], "control_id": started}}


ENDED = ("ended", "failed", "canceled", "completed")


def _lacking(command: str) -> str | None:
    """Why a hosted command is not served; None for what is no command at all."""
    name = command.removeprefix("calling.")
    if not command.startswith("calling."):
        return None
    if name.split(".")[0] in LATER:
        return f"{command} is not available; a document at url can route the call instead"
    if name.startswith(NEVER):
        return f"{command} is not available; calling.stream carries the audio to a service of yours"
    return None


def _may_update(reader: Reader, params: Mapping[str, Any], state: str) -> None:
    status = params.get("status")
    if state in ENDED:
        reader.fault("id", "cannot_update_completed", "The call has ended")
    elif status == "canceled" and state == "answered":
        reader.fault("status", "cannot_cancel_in_progress", "The call is answered; use completed")
    elif status == "completed" and state != "answered":
        reader.fault("status", "cannot_redirect_not_in_progress", "The call is not answered yet; use canceled")
    elif (params.get("url") or params.get("swml") is not None) and state != "answered":
        reader.fault("url", "cannot_redirect_not_in_progress", "Only an answered call can get another document")


async def _update(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[LegCommand]:
    status = params.get("status")
    if status not in (None, "canceled", "completed"):
        reader.fault("status", "invalid_parameter_value", "status must be one of: canceled, completed")
    document, link = await reader.document(required=False)
    wish = await reader.wish(STATES)
    made: list[LegCommand] = [Listen(id_, wish)] if wish is not None else []
    if status is not None:
        return [*made, EndLeg(id_, "cancel" if status == "canceled" else "hangup")]
    if document is not None or link is not None:
        return [*made, ConnectLeg(id_, document=document, link=link)]
    return made


async def _end(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[LegCommand]:
    reason = params.get("reason", "hangup")
    if reason not in REASONS:
        reader.fault("reason", "invalid_parameter_value", f"reason must be one of: {', '.join(REASONS)}")
    return [EndLeg(id_, str(reason))]


async def _disconnect(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[LegCommand]:
    return [PartLegs(id_)]


async def _transfer(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[LegCommand]:
    dest = params.get("dest")
    if isinstance(dest, dict):
        return [ConnectLeg(id_, document=reader.swml("dest", dest))]
    if isinstance(dest, str) and dest.lower().startswith(("http://", "https://")):
        return [ConnectLeg(id_, link=await _link(reader, "dest"))]
    return [ConnectLeg(id_, to=reader.destination("dest"))]


async def _link(reader: Reader, name: str) -> Any:
    from offhook.calls.document import Link

    return Link(await reader.url(name))


async def _refer(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[LegCommand]:
    device = params.get("device")
    inner = device.get("params", device) if isinstance(device, dict) and device.get("type", "sip") == "sip" else None
    to = inner.get("to") if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or not isinstance(to, str) or not to:
        reader.fault("device", "invalid_parameter", "Device must be an object with type sip and a destination to")
        return []
    by, username, password = (_of_device(reader, inner, name) for name in ("from", "username", "password"))
    if by and reader.uri(by) is None:
        reader.fault("device.from", "not_valid_for_caller_id", "Device.from must be a number, a name or a sip: URI")
    url = await reader.url("status_url")
    return [ReferLeg(id_, to, StatusWish(url, ()) if url else None, by, username, Secret(password))]


def _of_device(reader: Reader, device: Mapping[str, Any], name: str) -> str:
    value = device.get(name) or ""
    if isinstance(value, str) and len(value) <= 256 and not CONTROL.search(value):
        return value
    reader.fault(f"device.{name}", "invalid_parameter", f"Device.{name} must be text of at most 256 characters")
    return ""


async def _digits(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[LegCommand]:
    digits = reader.digits("digits")
    if not digits and not reader.faults:
        reader.fault("digits", "missing_required_parameter", "digits is required")
    return [PressDigits(id_, digits, reader.whole("duration_ms", 100, 40, 6000))]


async def _user_event(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[LegCommand]:
    event = params.get("event")
    if event is None:
        reader.fault("event", "missing_required_parameter", "event is required")
    said = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    if len(said.encode()) > USER_EVENT:
        reader.fault("event", "invalid_parameter", f"Event must be JSON of at most {USER_EVENT} bytes")
    return [TellUserEvent(id_, said)]


def _hold(held: bool | None = None, muted: bool | None = None) -> Made:
    async def make(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[LegCommand]:
        return [HoldLeg(id_, held, muted)]

    return make


COMMANDS: dict[str, Made] = {
    "update": _update,
    "calling.end": _end,
    "calling.disconnect": _disconnect,
    "calling.transfer": _transfer,
    "calling.refer": _refer,
    "calling.hold": _hold(held=True),
    "calling.unhold": _hold(held=False),
    "calling.mute": _hold(muted=True),
    "calling.unmute": _hold(muted=False),
    "calling.send_digits": _digits,
    "calling.user_event": _user_event,
    "calling.record": start_recording,
    "calling.record.pause": pause_recording,
    "calling.record.resume": resume_recording,
    "calling.record.stop": stop_recording,
    "calling.stream": start_stream,
    "calling.stream.stop": stop_stream,
}
