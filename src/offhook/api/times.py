"""Times as the compatible families show them (API.md 1.3)."""

from datetime import UTC, datetime


def seconds(moment: datetime) -> str:
    """ISO 8601 UTC with Z, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
