"""Errors on the wire: the plain shape, the two shapes of 422, and the shape of the compat family (API.md 1.5).

ApiError(status, code, message)      400 401 403 404 405 409 410 413 415 429 500 503, plain
Invalid(faults)                      422; shape S below /api/relay/rest, shape F elsewhere

Below /2010-04-01 and /api/laml/2010-04-01 both are answered in shape C, with an integer as the code.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from offhook.calls.catalogue import CATALOGUE

COMPAT_CODES = {400: 10000, 401: 20003, 403: 20004, 404: 20404, 422: 10000, 429: 20429}
"""Codes of the compat family by status; others are 20000 + status. A handler may give a closer one (API.md 13.5)."""
NOT_AVAILABLE = "feature_not_available"
COMPAT_NOT_AVAILABLE = 10001


def is_space(path: str) -> bool:
    """True in the space family."""
    return path.startswith("/api/relay/rest")


def is_own(path: str) -> bool:
    """True in our own family, whose faults carry a remedy."""
    return path.startswith("/api/offhook")


def is_compat(path: str) -> bool:
    """True in the compat family."""
    return path.startswith(("/2010-04-01", "/api/laml/2010-04-01"))


def family_of(path: str) -> str:
    """The family of a path, as it is counted."""
    if is_space(path):
        return "space"
    if is_compat(path):
        return "compat"
    if is_own(path) or path in ("/healthz", "/readyz", "/metrics"):
        return "own"
    return "fabric" if path.startswith("/api/") else "page"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one field."""

    attribute: str
    code: str
    message: str
    remedy: str = ""


class ApiError(Exception):
    """Answered as `{"error", "code", "message"}`; `error` is exactly the status phrase. `number` is the compat code."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, number: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.headers, self.number = status, code, dict(headers or {}), number

    def body(self) -> dict[str, Any]:
        return {"error": HTTPStatus(self.status).phrase, "code": self.code, "message": str(self)}


class Invalid(Exception):
    """Every fault of one request, in field order."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults

    def body(self, path: str, base: str) -> dict[str, Any]:
        """Shape S for the space family, shape F for the others. `base` is scheme and host of the request."""
        if is_space(path):
            return {"errors": [self._space(fault) for fault in self.faults]}
        return {"errors": [self._fabric(fault, path, base) for fault in self.faults]}

    @staticmethod
    def _space(fault: Fault) -> dict[str, str]:
        return {
            "detail": fault.message,
            "status": "422",
            "title": "Invalid Attribute",
            "code": fault.code,
            "attribute": fault.attribute,
        }

    @staticmethod
    def _fabric(fault: Fault, path: str, base: str) -> dict[str, str]:
        body = {
            "type": "validation_error",
            "code": fault.code,
            "message": fault.message,
            "attribute": fault.attribute,
            "url": f"{base}/docs/errors#{fault.code}",
        }
        if is_own(path):
            row = CATALOGUE.get(fault.code)
            body["remedy"] = fault.remedy or (row.remedy if row is not None else fault.message)
        return body


def in_order(faults: Iterable[Fault], names: Iterable[str]) -> list[Fault]:
    """Faults in the order of the fields that they are about; those of other fields come last (API.md 1.5)."""
    places = {name: at for at, name in enumerate(dict.fromkeys(names))}
    return sorted(faults, key=lambda one: places.get(re.split(r"[.\[]", one.attribute)[0], len(places)))


def not_found(code: str, message: str) -> ApiError:
    """404; an object of another project does not exist either."""
    return ApiError(404, code, message)


def project_gone() -> ApiError:
    """404: the project was deleted while something was made in it."""
    return not_found("project_not_found", "The project is gone")


def as_response(request: Request, error: ApiError | Invalid) -> JSONResponse:
    """The error in the shape of the family of the request's path."""
    path = request.url.path
    base = f"{request.url.scheme}://{request.url.netloc}"
    if is_compat(path):
        return _compat(error, base)
    if isinstance(error, Invalid):
        return JSONResponse(error.body(path, base), 422)
    return JSONResponse(error.body(), error.status, error.headers)


def _compat(error: ApiError | Invalid, base: str) -> JSONResponse:
    if isinstance(error, Invalid):
        lacking = any(fault.code == NOT_AVAILABLE for fault in error.faults)
        status, number = (403, COMPAT_NOT_AVAILABLE) if lacking else (400, COMPAT_CODES[422])
    else:
        status = error.status
        number = error.number or COMPAT_CODES.get(status, 20_000 + status)
    body = {"code": number, "message": str(error), "more_info": f"{base}/docs/errors#{number}", "status": status}
    return JSONResponse(body, status, error.headers if isinstance(error, ApiError) else None)
