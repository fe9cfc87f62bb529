"""Taking calls back after a restart (LIVE-15): the journal's rows, matched with what the engine still has."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from offhook.calls.effects import CallRecord
from offhook.calls.events import CallKept
from offhook.calls.kept import KeptCall
from offhook.calls.kept_work import last_words
from offhook.calls.ports import LegFacts
from offhook.calls.revive import Known
from offhook.calls.trunk import Trunk
from offhook.media.client import MediaError
from offhook.media.engine import MediaEngine
from offhook.server.book import Book, read_row
from offhook.server.observe import log
from offhook.sip.location import Account

if TYPE_CHECKING:
    from offhook.server.driver import Driver

FACTS_AT_ONCE = 256
"""Questions to the engine under way at a time."""


async def take_back(
    rows: dict[str, bytes], book: Book, driver: "Driver", engine: MediaEngine, trunks: Mapping[str, Trunk]
) -> int:
    """Every call of the journal: taken back, or put into the log. Returns how many go on."""
    calls: list[KeptCall] = []
    for ref, state in rows.items():
        row = read_row(state)
        if row is None:
            log.warning("a call of the journal cannot be read", call=ref)
            book.journal.drop(ref)
        elif row.ended is not None:
            book.log(row.ended.record, row.ended.epoch)
        elif row.live is not None and row.live.parties:
            calls.append(_on_our_clock(row.live, book.epoch))
        elif row.live is not None:
            dead = _on_our_clock(row.live, book.epoch)
            book.write(_never_answered(dead))
            for words in last_words(dead.reports, asyncio.get_running_loop().time()):
                driver.tell_status(words)
    facts = await _facts_of(calls, engine)
    for call in calls:
        driver.take_back(CallKept(call, Known(_accounts(call, driver), trunks, facts)))
    return len(calls)


def _on_our_clock(call: KeptCall, epoch: float) -> KeptCall:
    """After a reboot the monotonic clock began anew, so times are shifted by what the two clocks differ."""
    shift = call.epoch - epoch
    answered = None if call.answered_at is None else call.answered_at + shift
    return replace(call, created_at=call.created_at + shift, answered_at=answered, epoch=epoch)


def _never_answered(call: KeptCall) -> CallRecord:
    """The set-up of a call dies with the process: its log says so."""
    legs = tuple(
        (ref, {**facts, "end_code": facts["end_code"] or "server_restarted", "ended_by": "server"})
        for ref, facts in call.history
    )
    return CallRecord(
        call.ref, call.created_at, max(call.created_at, asyncio.get_running_loop().time()), legs, call.project
    )


def _accounts(call: KeptCall, driver: "Driver") -> dict[str, Account]:
    names = {call.callee, call.parked_by, *(leg.username for leg in call.parties)} - {""}
    found = {name: driver.account(name) for name in names}
    return {name: account for name, account in found.items() if account is not None}


async def _facts_of(calls: list[KeptCall], engine: MediaEngine) -> dict[int, LegFacts]:
    """What the engine knows of each leg that it still has. To be asked claims the leg: one that nobody names ends."""
    try:
        there = {leg for _, leg, *_ in await engine.legs()}
    except MediaError:
        # It has died meanwhile: the calls get media of the next one.
        return {}
    wanted = [leg.media.leg for call in calls for leg in call.parties if leg.media is not None]
    limit = asyncio.Semaphore(FACTS_AT_ONCE)

    async def one(leg: int) -> LegFacts | None:
        async with limit:
            try:
                return await engine.facts(leg)
            except MediaError:
                return None

    found = await asyncio.gather(*(one(leg) for leg in wanted if leg in there))
    return {facts.leg: facts for facts in found if facts is not None}
