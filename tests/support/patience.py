"""How long a test waits for what must come: the machine may be slow and busy, so that after that it never came.

Where a number of seconds is itself promised, the product's own times are compared, not how long the test has waited.
"""

PATIENCE = 120.0
"""Seconds."""
