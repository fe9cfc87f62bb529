"""A call as plain data: what the journal keeps of it, so that the next process can go on with it (LIVE-15).

Lives here: the shapes. Never here: what of a call goes into them (keeping.py), taking a call back (revive.py), files.
Structs, not dataclasses, because one is made for every call: a tenth of the time to make, half the octets.
"""

from typing import Any

from msgspec import Struct

from offhook.calls.adoption import Device
from offhook.calls.call import Placed
from offhook.calls.document import StatusWish
from offhook.calls.encryption import Security
from offhook.calls.index import Stream, Taped
from offhook.calls.ports import LegLocal, LegOffer
from offhook.calls.reports import LegReport
from offhook.calls.video import Formats
from offhook.sdp.description import Format, Session
from offhook.sip.dialog_record import DialogRecord
from offhook.sip.events import UsageId
from offhook.sip.flow import Flow
from offhook.sip.hop import Hop

Plain = tuple[str, dict[str, Any]]
"""The name of a step of a document, and what it says."""


class KeptProgram(Struct, frozen=True, array_like=True):
    """A document at work: `steps` to come, and the one whose destination rang or talked."""

    leg: str
    steps: tuple[Plain, ...]
    dialling: Plain | None = None
    since: float | None = None


class KeptReport(Struct, frozen=True, array_like=True):
    """Who hears of a leg, what was told, and the leg as it was then."""

    leg: str
    wish: StatusWish
    told: tuple[str, ...]
    sequence: int
    report: LegReport


class KeptLeg(Struct, frozen=True, array_like=True):
    """One confirmed leg. Who is behind it is kept by name, credentials never are. `dialog` is filled by who writes."""

    ref: str
    role: str
    usage: UsageId
    flow: Flow
    origin_id: int
    version: int
    state: str
    direction: str
    username: str = ""
    trunk: str = ""
    identity: str = ""
    shown: str = ""
    user_agent: str = ""
    may_refer: bool = False
    security: Security | None = None
    offer: LegOffer | None = None
    media: LegLocal | None = None
    formats: tuple[Format, ...] = ()
    chosen: tuple[Format, ...] = ()
    remote: Session | None = None
    body: bytes = b""
    fed: str = ""
    room: str = ""
    room_number: int = 0
    device: Device | None = None
    heard: bool = False
    reoffer: bool = False
    flow_moves: int = 0
    dialog: DialogRecord | None = None
    hop: Hop | None = None
    dialled: str = ""
    from_name: str = ""
    to_name: str = ""
    began_at: float | None = None
    leg_answered_at: float | None = None
    video_formats: Formats = ()
    video_chosen: Formats = ()
    video_direction: str = "sendrecv"
    recordings: tuple[tuple[str, Taped], ...] = ()
    """Those that run, by name."""
    streams: tuple[tuple[str, Stream], ...] = ()
    told_wish: str = "both"


class KeptCall(Struct, frozen=True, array_like=True):
    """`parties` are empty until the call is answered. `history` are the log's records of legs that are done. Times are on
    the clock of the core, which began at Unix time `epoch`."""

    ref: str
    state: str
    caller: str
    from_name: str
    to_name: str
    destination: str
    created_at: float
    answered_at: float | None
    callee: str = ""
    parties: tuple[KeptLeg, ...] = ()
    media_calls: tuple[int, ...] = ()
    history: tuple[tuple[str, dict[str, Any]], ...] = ()
    epoch: float = 0.0
    waiting: bool = False
    """A party hears ringback while a transfer's target rings; what rings dies with the process."""
    parked_by: str = ""
    """The endpoint whose pickup group may take a parked party back."""
    pairs: dict[str, str] | None = None
    placed: Placed | None = None
    project: str = ""
    programs: tuple[KeptProgram, ...] = ()
    reports: tuple[KeptReport, ...] = ()
    domain: str = ""
