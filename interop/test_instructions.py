"""MEDIA.md section 10, point 6: the work of a forwarded packet is counted, so that no change adds to it unseen."""

import pytest

from bench import instructions


@pytest.mark.timeout(600)  # the load generator may have to be built
def test_a_forwarded_packet_takes_as_many_instructions_as_before() -> None:
    counted = instructions.count(instructions.build(), "")
    assert instructions.differs(counted) == ""
