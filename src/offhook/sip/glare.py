"""Glare: two offers cross (RFC 3261 section 14.1). How long the side that met 491 waits before it tries again."""

from offhook.sip.ids import Ids

STEP = 0.01
"""Seconds: both ranges are drawn in steps of 10 ms."""
OWNER = (210, 400)
"""Steps for the side that chose the Call-ID: 2.1 to 4.0 s."""
OTHER = (0, 200)
"""Steps for the other side: 0 to 2.0 s. The ranges do not meet, so the second try does not collide again."""


def pause(owner: bool, ids: Ids) -> float:
    """Seconds to wait after a 491 to a request of ours; `owner` is the side that sent the dialog's first INVITE."""
    low, high = OWNER if owner else OTHER
    return round(ids.uniform(low, high)) * STEP
