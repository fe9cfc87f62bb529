"""Errors on the wire: the plain shape, and the two shapes of 422 (API.md 1.5).

ApiError(status, code, message)      401 403 404 405 413 415 429 …, plain
Invalid(faults)                      422; shape S below /api/relay/rest, shape F elsewhere
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one field."""

    attribute: str
    code: str
    message: str
    remedy: str = ""


class ApiError(Exception):
    """Answered as `{"error", "code", "message"}`; `error` is exactly the status phrase."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, dict(headers or {})

    def body(self) -> dict[str, str]:
        return {"error": HTTPStatus(self.status).phrase, "code": self.code, "message": str(self)}


class Invalid(Exception):
    """Every fault of one request, in field order."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults

    def body(self, path: str, host: str) -> dict[str, Any]:
        """Shape S for the space family, shape F for the others."""
        if path.startswith("/api/relay/rest"):
            return {"errors": [self._space(fault) for fault in self.faults]}
        return {"errors": [self._fabric(fault, path, host) for fault in self.faults]}

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
    def _fabric(fault: Fault, path: str, host: str) -> dict[str, str]:
        body = {
            "type": "validation_error",
            "code": fault.code,
            "message": fault.message,
            "attribute": fault.attribute,
            "url": f"http://{host}/docs/errors#{fault.code}",
        }
        if path.startswith("/api/offhook"):
            body["remedy"] = fault.remedy or fault.message
        return body


def not_found(code: str, message: str) -> ApiError:
    """404; an object of another project does not exist either."""
    return ApiError(404, code, message)
