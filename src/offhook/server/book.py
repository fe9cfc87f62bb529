"""What outlives this process of calls: the journal of live ones, the log of those that ended.

Each call is logged once, whatever happens: its record goes into the journal when it ends, into the log behind the writer,
and out of the journal when the log has it. A process that dies in between leaves it to the next one (comeback.py).
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from offhook.calls.effects import CallRecord
from offhook.calls.kept import KeptCall
from offhook.server.log_rows import row_of
from offhook.sip.dialog_record import DialogRecord
from offhook.sip.events import UsageId
from offhook.store.journal import Journal
from offhook.store.statements import Upsert
from offhook.store.tables import call_log
from offhook.store.writer import Writer

_WRITE_LEG = Upsert(call_log)

DialogOf = Callable[[UsageId], DialogRecord | None]


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that is over, until the log has it. Times as in `KeptCall`."""

    record: CallRecord
    epoch: float


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the journal: a live call or one that has ended. `version` is that of these shapes."""

    version: int
    live: KeptCall | None = None
    ended: Ended | None = None


VERSION = 1
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Row)


def read_row(state: bytes) -> Row | None:
    """None for a row of another version, or a broken one."""
    try:
        row = _decoder.decode(state)
    except msgspec.DecodeError:
        return None
    return row if row.version == VERSION else None


class Book:
    """Implements `server.ports.Journal`."""

    def __init__(self, journal: Journal, writer: Writer, dialog_of: DialogOf) -> None:
        self.journal = journal
        self._writer = writer
        self._dialog_of = dialog_of
        self._epoch = time.time() - asyncio.get_running_loop().time()
        self.owner: Callable[[str], str] = lambda _: ""
        """The project of a call that has just ended."""
        self.device_of: Callable[[str, str], str | None] = lambda endpoint, flow: None
        """The id of the device that an endpoint's leg went to by a flow."""
        self.ended: Callable[[str], None] = lambda _: None
        """Is told of each call that has ended here."""

    @property
    def epoch(self) -> float:
        """Unix time at which the core's clock began."""
        return self._epoch

    def keep(self, call: KeptCall) -> None:
        """How a live call stands."""
        parties = tuple(replace(leg, dialog=self._dialog_of(leg.usage)) for leg in call.parties)
        row = Row(VERSION, live=replace(call, parties=parties, epoch=self._epoch))
        self.journal.put(call.ref, _encoder.encode(row))

    def write(self, record: CallRecord) -> None:
        """A call has ended."""
        record = record_of(record, self.device_of)
        self.journal.put(record.call_ref, _encoder.encode(Row(VERSION, ended=Ended(record, self._epoch))))
        self.log(record, self._epoch)
        self.ended(record.call_ref)

    def log(self, record: CallRecord, epoch: float) -> None:
        """Into the log, then out of the journal."""
        project = record.project or self.owner(record.call_ref)
        for leg_ref, facts in record.legs:
            self._writer.put(_WRITE_LEG, row_of(leg_ref, record, facts, epoch, project))
        self._writer.after(lambda: self.journal.drop(record.call_ref))


def record_of(record: CallRecord, device_of: Callable[[str, str], str | None]) -> CallRecord:
    """The record with the devices of its legs in the place of their flows, which mean nothing to the next process."""

    def named(facts: dict[str, Any]) -> dict[str, Any]:
        told = dict(facts)
        flow, endpoint = told.pop("flow", None), facts.get("endpoint_id")
        device = device_of(str(endpoint), str(flow)) if endpoint and flow else None
        if device is not None:
            told["device_id"] = device
        return told

    return dataclasses.replace(record, legs=tuple((ref, named(facts)) for ref, facts in record.legs))
