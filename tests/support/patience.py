"""How long a test waits for what must come: the machine may be slow and busy, so that after that it never came.

Where a number of seconds is itself promised, the product's own times are compared, not how long the test has waited.
"""

from typing import Any

PATIENCE = 120.0
"""Seconds."""

PATIENTLY: dict[str, Any] = {"open_timeout": PATIENCE, "ping_interval": None}
"""For `websockets.connect`, which gives up after ten seconds otherwise, and drops a peer that owes a pong for twenty."""
