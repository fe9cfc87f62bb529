"""What the API asks of call control, imperative."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HangUpCall:
    """Ends every leg of a call; `code` is the end code of the catalogue. An unknown call is ignored."""

    call_ref: str
    code: str


@dataclass(frozen=True, slots=True)
class HangUpEndpoint:
    """Ends every call in which an endpoint takes part, by its user name."""

    username: str
    code: str


CallCommand = HangUpCall | HangUpEndpoint
