"""What call control wants of the media engine, as commands of its protocol, and what call control hears of the answers.

Commands of one turn of the loop go out in one write, in the order of the effects; an answer calls back, nobody waits in a
task for it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.ports import LegLocal
from offhook.media import messages as wire
from offhook.media.client import MediaError
from offhook.media.engine import MediaEngine
from offhook.server.observe import log

Tell = Callable[[did.CallEvent], None]

_CHANGES = {"pause": wire.RecordPause, "resume": wire.RecordResume, "stop": wire.RecordStop}
_COMMANDS: dict[type, Callable[[Any], dict[str, Any]]] = {
    do.OpenMedia: lambda e: {"kind": wire.OpenCall, "offers": tuple(offer for _, offer in e.offers), "near": e.near},
    do.AddMediaLeg: lambda e: {"kind": wire.OpenLeg, "call": e.media_call, "offer": e.offer},
    do.CompleteMedia: lambda e: {"kind": wire.Complete, "leg": e.leg, "remote": e.remote},
    do.UpdateMedia: lambda e: {
        "kind": wire.Update, "leg": e.leg, "offer": e.offer, "restart_ice": e.restart_ice,
        "opens_video": e.opens_video,
    },
    do.BridgeMedia: lambda e: {"kind": wire.Bridge, "a": e.a, "b": e.b},
    do.JoinRoom: lambda e: {"kind": wire.Join, "leg": e.leg, "room": e.room, "muted": e.muted, "full_band": e.full_band},
    do.MuteInRoom: lambda e: {"kind": wire.Mute, "leg": e.leg, "muted": e.muted},
    do.ChimeRoom: lambda e: {"kind": wire.Chime, "room": e.room, "file": e.file},
    do.PlayMedia: lambda e: {"kind": wire.Play, "leg": e.leg, "source": e.source},
    do.StopMedia: lambda e: {"kind": wire.Stop, "leg": e.leg},
    do.HushMedia: lambda e: {"kind": wire.Hush, "leg": e.leg},
    do.PlayFiles: lambda e: {
        "kind": wire.PlayFiles, "leg": e.leg, "play": e.play, "files": e.files, "rounds": e.rounds,
        "until_digit": e.until_digit,
    },
    do.RecordMedia: lambda e: {"kind": wire.RecordStart, "leg": e.leg, "spec": e.spec},
    do.ChangeRecording: lambda e: {"kind": _CHANGES[e.change], "leg": e.leg, "recording": e.recording},
    do.FeedMedia: lambda e: {"kind": wire.FeedStart, "leg": e.leg, "spec": e.spec},
    do.StopFeed: lambda e: {"kind": wire.FeedStop, "leg": e.leg, "feed": e.feed},
    do.SendDigits: lambda e: {"kind": wire.SendDigits, "leg": e.leg, "digits": e.digits, "each_ms": e.each_ms},
    do.RequestKeyFrame: lambda e: {"kind": wire.RequestKeyFrame, "leg": e.leg},
    do.CloseMediaLeg: lambda e: {"kind": wire.CloseLeg, "leg": e.leg},
    do.CloseMedia: lambda e: {"kind": wire.CloseCall, "call": e.media_call},
}  # fmt: skip
"""The command of each effect."""


class MediaWork:
    """Owned by the driver. `tell` takes events for call control, `country_of` says whose tones a call hears."""

    def __init__(self, tell: Tell, ref_of: Callable[[object], str]) -> None:
        self._tell, self._ref_of = tell, ref_of
        self.country_of: Callable[[str], str] = lambda _: "US"
        self._engine: MediaEngine | None = None
        self.pending = 0
        """Commands whose answers have not come."""

    def use(self, engine: MediaEngine) -> None:
        """The engine that commands go to from now on."""
        self._engine = engine

    def perform(self, effect: do.MediaEffect) -> None:
        """Sends the command of an effect."""
        if self._engine is None:
            self._refused(effect, MediaError("engine_lost", "the media engine is not up"))
            return
        self.pending += 1
        command = _COMMANDS[type(effect)](effect)
        if isinstance(effect, do.PlayMedia):
            command["country"] = self.country_of(self._ref_of(effect))
        self._engine.send(partial(self._answered, effect), **command)

    def _answered(self, effect: do.MediaEffect, reply: wire.Reply | MediaError) -> None:
        self.pending -= 1
        if isinstance(reply, MediaError):
            self._refused(effect, reply)
            return
        match effect, reply:
            case do.OpenMedia(), wire.CallOpened():
                opened = zip(effect.offers, reply.legs, strict=True)
                legs = {ref: self._announced(local) for (ref, _), local in opened}
                self._tell(did.MediaOpened(effect.call_ref, reply.call, legs))
            case do.AddMediaLeg(), wire.LegOpened():
                self._tell(did.MediaLegOpened(effect.call_ref, effect.leg_ref, self._announced(reply.leg)))
            case do.UpdateMedia(), wire.LegOpened():
                self._tell(did.MediaLegUpdated(effect.leg, self._announced(reply.leg)))
            case do.CloseMedia(), wire.Closed():
                self._tell(did.MediaClosed(effect.media_call, reply.legs))
            case ((do.OpenMedia() | do.AddMediaLeg() | do.UpdateMedia() | do.CloseMedia()), _):
                text = f"{type(reply).__name__} answers {type(effect).__name__}"
                self._refused(effect, MediaError("bad_reply", text))
            case _:
                pass  # Done

    def _announced(self, local: LegLocal) -> LegLocal:
        """The engine does not know our own port, where browsers without UDP come."""
        return local if self._engine is None else self._engine.over_tcp.announced(local)

    def _refused(self, effect: do.MediaEffect, error: MediaError) -> None:
        ref = self._ref_of(effect)
        about = {"call_ref": ref} if ref else {}
        log.warning("media refused", **about, command=type(effect).__name__, code=error.code, text=error.text)
        if isinstance(effect, do.OpenMedia | do.AddMediaLeg):
            self._tell(did.MediaRefused(effect.call_ref, error.code, error.text))
        if isinstance(effect, do.CompleteMedia) and error.code != "engine_lost":
            self._tell(did.DescriptionRefused(effect.leg, error.code, error.text))
        if isinstance(effect, do.UpdateMedia) and effect.opens_video:
            self._tell(did.MediaLineRefused(effect.leg, error.code))
        if isinstance(effect, do.PlayFiles):
            self._tell(did.PlayFinished(effect.leg, effect.play, "failed", error.text))
        if isinstance(effect, do.RecordMedia):
            spec = effect.spec
            self._tell(did.RecordingFinished(effect.leg, spec.recording, spec.file, "failed", error.text))
        if isinstance(effect, do.FeedMedia):
            reason = "codec" if error.code == "other_codec" else "failed"
            self._tell(did.FeedChanged(effect.leg, effect.spec.feed, "finished", reason, error.text))
        if isinstance(effect, do.CloseMedia):
            self._tell(did.MediaClosed(effect.media_call, ()))
