"""The house dies without a word and another process takes its calls back from the journal, through the bytes of its file."""

from functools import partial

import msgspec

from offhook.calls import events as did
from offhook.calls.effects import CallRecord
from offhook.calls.kept import KeptCall
from offhook.calls.ports import LegFacts, Quality
from offhook.calls.revive import Known
from offhook.server.book import VERSION, Row, read_row
from offhook.sip.flow import FlowId
from tests.support.house import House, HouseNode


def facts_of(leg: int, last_in_ms: int) -> LegFacts:
    """What an engine says of a leg whose last packet is so old."""
    return LegFacts(
        leg, "", "", "", "", "", "PCMU", "PCMU", False, "", "", 20, last_in_ms, 20, 20, "", "", {}, Quality()
    )


def through_the_file(call: KeptCall) -> KeptCall:
    """As the next process reads it."""
    row = read_row(msgspec.msgpack.encode(Row(VERSION, live=call)))
    assert row is not None
    assert row.live is not None
    return row.live


def restart(
    house: House,
    engine_lives: bool = True,
    last_in_ms: int = 20,
    keep: tuple[FlowId, ...] = (),
    registrations: bool = False,
) -> HouseNode:
    """kill -9 and start again; connections are gone but for `keep`, UDP phones are where they were, and known to be with
    `registrations`. Gives the dead node."""
    old, link = house.node, house.link
    _cut_connections(house, keep)
    outbound = old.switchboard._index.outbound
    node = house.node = HouseNode(link, old.switchboard._config, outbound, old.seed + 1000)
    node.carriers, node.numbers = old.carriers, old.numbers
    trunks = {state.trunk.id: state.trunk for state in outbound.trunks} if outbound is not None else {}
    node.accounts, node.log, node.published = old.accounts, old.log, old.published
    if registrations:
        node.bindings.update(old.bindings)
    house.station.node, house.station.timers = node, {}
    # An engine that was slow answers nobody.
    old.tell = lambda _: []  # type: ignore[method-assign]
    node.media.slow, node.media.refuse = old.media.slow, old.media.refuse
    if engine_lives:
        node.media = old.media
        named = {number for call in old.journal.values() for number in call.media_calls}
        # What nobody names ends with the engine's grace, which is sooner than any test looks.
        for number in [one for one in node.media.calls if one not in named]:
            for leg in node.media.calls.pop(number):
                node.media.open.pop(leg, None)
    for bindings in node.bindings.values():
        for one in bindings:
            house.station.apply(node.flow_opened(one.flow, link.now))
    facts = {leg: facts_of(leg, last_in_ms) for leg in node.media.open}
    for call in old.journal.values():
        kept = through_the_file(call)
        if not kept.parties:
            # It was being set up, which dies with the process; the log says so (comeback.py).
            node.log.append(CallRecord(kept.ref, kept.created_at, link.now, kept.history))
            continue
        for leg in kept.parties:
            assert leg.dialog is not None
            house.station.apply(node._feed(partial(node._revive, leg.dialog, leg.flow)))
        house.station.apply(node.tell(did.CallKept(kept, Known(node.accounts, trunks, facts))))
    house.apply(lambda: node.tell(did.EngineReady()))
    return old


def _cut_connections(house: House, keep: tuple[FlowId, ...]) -> None:
    link = house.link
    for end, (station, _, back) in list(link._ends.items()):
        if back.transport.reliable and end in link._ends and end not in keep:
            del link._ends[end]
            if station is not house.station:
                station.apply(station.node.flow_lost(end, link.now))
