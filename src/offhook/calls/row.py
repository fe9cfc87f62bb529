"""One row of the error catalogue (API.md section 14)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One code. `sip` is what the caller's device gets (0: never on the wire), `end` the end reason of the API, `http` the
    status of a REST request that is refused with it (0: of calls only)."""

    code: str
    sip: int
    end: str
    severity: str
    cause: str
    remedy: str
    q850: int = 0
    http: int = 0

    @property
    def slug(self) -> str:
        """The code as it stands in a Warning field."""
        return self.code.replace("_", "-")


def rest(code: str, http: int, cause: str, remedy: str) -> Row:
    """A code that only refuses a REST request."""
    return Row(code, 0, "", "error", cause, remedy, 0, http)
