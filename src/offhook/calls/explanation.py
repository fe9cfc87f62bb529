"""A call that failed, in one sentence: what happened and what to do, from the catalogue (API.md section 14)."""

from offhook.calls.call import Call
from offhook.calls.catalogue import CATALOGUE

NOTHING = "Nothing to mend"
"""The remedy of ends that need none."""


def explanation(call: Call) -> str:
    """One sentence with its stop; "" for a call that goes on or was talked and hung up."""
    row = CATALOGUE.get(call.end_code or "")
    if row is None or (row.severity != "error" and call.answered_at is not None):
        return ""
    return sentence(call.refused_text or row.cause, row.remedy)


def sentence(what: str, remedy: str) -> str:
    """`what`, then what to do about it."""
    said = what.strip().rstrip(".")
    if not remedy or remedy == NOTHING:
        return f"{said}."
    # An abbreviation keeps its capitals.
    advice = remedy if remedy[1:2].isupper() else remedy[0].lower() + remedy[1:]
    return f"{said}; {advice.rstrip('.')}."
