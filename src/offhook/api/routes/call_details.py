"""How a call sounds, and what pages say about it: `quality` and `client_reports` below a call (API.md 12.3)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request

from offhook.api.auth import Reading
from offhook.api.bearers import Asking
from offhook.api.describe import described, list_of, loose, nullable, one_of, record, text, whole
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.ports import Platform
from offhook.api.requests import body_object, unknown_fields
from offhook.calls.catalogue import CATALOGUE

PATH = "/api/offhook/calls/{ref}"
KINDS = ("sample", "warning", "feedback")
KNOWN = ("kind", "sip_call_id", "stats", "code", "rating", "issues")
MOST, LONGEST = 100, 100
"""Figures of one report, and characters of the name of one."""
REPORT = record(
    "ClientReport", "kind",
    kind=one_of(*KINDS), sip_call_id=text(256), stats=loose(), code=text(), rating=whole(1, 5),
    issues=list_of(text(200), 20),
)  # fmt: skip
router = APIRouter(tags=["Calls"])


@router.get(PATH + "/quality", **described(gives=record("Samples", "data", data=list_of(loose()))))
async def list_samples(ref: str, request: Request, token: Reading) -> dict[str, Any]:
    """A sample every five seconds of each leg, in order of time, also after the end."""
    platform: Platform = request.app.state.platform
    samples = await platform.call_desk.quality(token.project_id, ref)
    if samples is None:
        raise not_found("call_not_found", "No call has this id, or it ended too long ago")
    return {"data": samples}


@router.post(
    PATH + "/client_reports", status_code=202, **described(takes=REPORT, gives=nullable(loose()), errors=(401, 403))
)
async def report_of_page(ref: str, request: Request, holder: Asking) -> dict[str, Any]:
    """What a page says about a call of its endpoint; it shows its own token as bearer."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    faults = [*unknown_fields(body, KNOWN), *_faults(body)]
    if faults:
        raise Invalid(*faults)
    if not platform.call_desk.client_report(holder.project_id, ref, holder.subject, body):
        raise not_found("call_not_found", "No call of this endpoint has this id")
    return {}


def _faults(body: Mapping[str, Any]) -> list[Fault]:
    faults: list[Fault] = []

    def wrong(field: str, rule: str) -> None:
        faults.append(Fault(field, "invalid_parameter", f"{field.capitalize()} must be {rule}"))

    if body.get("kind") not in KINDS:
        message = f"kind must be one of: {', '.join(KINDS)}"
        faults.append(Fault("kind", "invalid_parameter_value", message))
    stats = body.get("stats", {})
    if not isinstance(stats, dict) or len(stats) > MOST or not all(_is_number(one) for one in stats.values()):
        wrong("stats", f"an object of at most {MOST} numbers")
    elif any(len(name) > LONGEST for name in stats):
        wrong("stats", f"an object whose names have at most {LONGEST} characters")
    if body.get("code") is not None and body["code"] not in CATALOGUE:
        wrong("code", "a code of /docs/errors")
    rating = body.get("rating")
    if rating is not None and not (_is_number(rating) and rating in (1, 2, 3, 4, 5)):
        wrong("rating", "a whole number from 1 to 5")
    issues = body.get("issues", [])
    if (
        not isinstance(issues, list)
        or len(issues) > 20
        or not all(isinstance(one, str) and len(one) <= 200 for one in issues)
    ):
        wrong("issues", "a list of at most 20 texts of 200 characters")
    call_id = body.get("sip_call_id", "")
    if not isinstance(call_id, str) or len(call_id) > 256:
        wrong("sip_call_id", "text of at most 256 characters")
    return faults


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
