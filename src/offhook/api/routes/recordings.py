"""Recordings: `/api/relay/rest/recordings` (API.md 13.3)."""

import hmac
import time
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from offhook.api.auth import Storage, authenticate, need
from offhook.api.describe import (
    described,
    flag,
    identifier,
    listing,
    loose,
    moment,
    nullable,
    number,
    record,
    text,
    whole,
)
from offhook.api.errors import ApiError, Fault, Invalid, not_found
from offhook.api.ports import Platform
from offhook.api.recording_ports import RecordingDesk

PATH = "/api/relay/rest/recordings"
SIGNED = 600
"""Seconds for which a signed link is good."""
RECORDING = record(
    "Recording", "id", "project_id", "created_at", "updated_at", "status", "url", "format", "track",
    id=identifier(), project_id=identifier(), created_at=moment(), updated_at=moment(), duration_in_seconds=whole(),
    duration=whole(), error_code=nullable(text()), price=number(), price_unit=text(), status=text(), url=text(),
    stereo=flag(), byte_size=whole(), format=text(), track=text(), relay_conference_id=nullable(identifier()),
    relay_pstn_leg_id=identifier(), relay_sip_leg_id=identifier(), relay_webrtc_leg_id=identifier(), offhook=loose(),
)  # fmt: skip
LINK = record("SignedLink", "url", url=text())
router = APIRouter(tags=["Recordings"])


def _desk(request: Request) -> RecordingDesk:
    platform: Platform = request.app.state.platform
    return platform.recordings


def _gone() -> ApiError:
    return not_found("not_found", "No recording has this id")


@router.get(PATH, **described(gives=listing(RECORDING)))
async def list_recordings(request: Request, token: Storage) -> dict[str, Any]:
    """Recordings of the project, newest first."""
    return await _desk(request).page(token.project_id, PATH, dict(request.query_params))


@router.get(PATH + "/{id_}", **described(gives=RECORDING))
async def show_recording(id_: str, request: Request, token: Storage) -> dict[str, Any]:
    """One."""
    row = await _desk(request).get(token.project_id, id_)
    if row is None:
        raise _gone()
    return row


@router.delete(PATH + "/{id_}", status_code=204, **described())
async def remove_recording(id_: str, request: Request, token: Storage) -> Response:
    """It goes with its file."""
    desk = _desk(request)
    if await desk.get(token.project_id, id_) is None:
        raise _gone()
    if not await desk.remove(token.project_id, id_):
        raise Invalid(Fault("id", "invalid_state", "The recording runs; stop it first"))
    return Response(status_code=204)


def _signature(request: Request, id_: str, expires: int) -> str:
    platform: Platform = request.app.state.platform
    return hmac.new(platform.session_key, f"recording {id_} {expires}".encode(), "sha256").hexdigest()


def _is_signed(request: Request, id_: str) -> bool:
    expires, signature = request.query_params.get("expires", ""), request.query_params.get("signature", "")
    if not expires.isascii() or not expires.isdigit() or len(expires) > 12 or int(expires) < time.time():
        return False
    return hmac.compare_digest(signature.encode(), _signature(request, id_, int(expires)).encode())


@router.get(
    PATH + "/{id_}/media", **described(gives=loose(), query={"signed": text(), "expires": text(), "signature": text()})
)
async def recording_media(id_: str, request: Request) -> Any:
    """The file, whole or in ranges. Basic auth unless the project's `protect_recordings` is off; with `signed=1` a link that
    needs none for ten minutes."""
    found = await _desk(request).media(id_)
    if not _is_signed(request, id_) and (found is None or _desk(request).protected(found[0])):
        token = await authenticate(request, None)
        need(token, "storage")
        if found is None or token.project_id != found[0]:
            raise _gone()
    if found is None:
        raise _gone()
    if request.query_params.get("signed") == "1":
        expires = int(time.time()) + SIGNED
        row = await _desk(request).get(found[0], id_)
        base = row["url"] if row is not None else request.url.path
        return {"url": f"{base}?expires={expires}&signature={_signature(request, id_, expires)}"}
    return FileResponse(found[1], media_type="audio/wav", filename=found[1].name, content_disposition_type="inline")
