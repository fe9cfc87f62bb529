"""Times as the API writes them (API.md 1.3)."""

from datetime import UTC, datetime


def seconds(moment: datetime) -> str:
    """ISO 8601 UTC in whole seconds, for the compatible families."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def milliseconds(moment: datetime) -> str:
    """ISO 8601 UTC with milliseconds, for our own family."""
    utc = moment.astimezone(UTC)
    return f"{utc.strftime('%Y-%m-%dT%H:%M:%S')}.{utc.microsecond // 1000:03d}Z"
