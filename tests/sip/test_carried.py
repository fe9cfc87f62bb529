"""Which addresses of record a flow carries: a few stand in a tuple, many in a set, and nobody sees a difference."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.sip.carried import FEW, Carried
from offhook.sip.location import Binding
from offhook.sip.uri import parse_uri
from tests.support.messages import make_flow

FLOWS = [make_flow("proxy"), make_flow("phone")]
MOST = 2 * FEW


def bound(user: int, flow: int) -> tuple[str, tuple[Binding, ...]]:
    """An address of record with one binding on a flow."""
    aor = f"sip:{user}@example.com"
    contact = parse_uri(f"sip:{user}@192.0.2.1")
    return aor, (Binding(aor, contact, FLOWS[flow], "call", 1, 600.0, id=f"{user}"),)


USERS, WAYS = st.integers(0, MOST), st.sampled_from([None, 0, 1])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(USERS, WAYS), max_size=60))
def test_a_flow_carries_what_was_written_last_for_each_address(writes: list[tuple[int, int | None]]) -> None:
    carried = Carried({})
    model: dict[str, tuple[Binding, ...]] = {}
    # All of them once, so that the flow passes from few to many and back.
    every = [(user, 0) for user in range(MOST + 1)]
    for user, way in [*writes, *every, *writes, *((user, None) for user, _ in every)]:
        aor, group = bound(user, way or 0)
        after = group if way is not None else ()
        carried.rewritten(aor, model.get(aor, ()), after, 0.0)
        model[aor] = after
        for flow in FLOWS:
            there = sorted(one for one, kept in model.items() if any(binding.flow == flow for binding in kept))
            # 1. All of them, in order, and whether there is one alone.
            assert carried.aors(flow.id) == there
            assert carried.only(flow.id) == (there[0] if len(there) == 1 else None)
            # 2. A flow without any is carried no longer.
            assert carried.carries(flow.id) == bool(there)
    assert carried.lost(FLOWS[0].id) == []
