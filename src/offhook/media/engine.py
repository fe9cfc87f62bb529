"""What the driver uses of the engine: one method per command, typed answers."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from offhook.calls.ports import Feed, LegFacts, LegLocal, LegOffer, LegRemote, Recording, SourceKind
from offhook.media import messages as wire
from offhook.media.client import MediaClient, MediaError, Then

ReplyType = TypeVar("ReplyType")


@dataclass(frozen=True, slots=True)
class OverTcp:
    """Where browsers without UDP reach us (RFC 6544): our own port, 0 for nowhere; `hosts` are the addresses it is bound to,
    None for all."""

    port: int = 0
    hosts: frozenset[str] | None = None

    def announced(self, local: LegLocal) -> LegLocal:
        """The leg with its candidates over TCP: at the addresses that it has over UDP."""
        if not self.port or not local.ufrag:
            return local
        addresses = dict.fromkeys(address for address, _ in local.candidates)
        bound = [address for address in addresses if self.hosts is None or address in self.hosts]
        return replace(local, tcp_candidates=tuple((address, self.port) for address in bound))


def shard_of(number: int) -> int:
    """The shard of a leg or a call: the top 8 of the 64 bits of its number."""
    return number >> 56


class MediaEngine:
    """One connected engine. Every method raises MediaError."""

    def __init__(self, client: MediaClient, hello: wire.Hello) -> None:
        self._client = client
        self.pid = hello.pid
        self.webrtc_ports = hello.webrtc_ports
        self.over_tcp = OverTcp()

    @property
    def connected(self) -> bool:
        """False once the connection is gone; it never comes back, a new engine object does."""
        return self._client.connected

    def send(self, then: Then, kind: type[wire.Command], **fields: Any) -> None:
        """Any command; `then` hears of the answer (`MediaClient.send`)."""
        self._client.send(then, kind, **fields)

    async def open_call(self, offers: tuple[LegOffer, ...]) -> wire.CallOpened:
        """A call on the least loaded shard, with its first legs."""
        return _expect(wire.CallOpened, await self._client.call(wire.OpenCall, offers=offers))

    async def open_leg(self, call: int, offer: LegOffer) -> LegLocal:
        """One more leg of a call."""
        return _expect(wire.LegOpened, await self._client.call(wire.OpenLeg, call=call, offer=offer)).leg

    async def complete(self, leg: int, remote: LegRemote) -> None:
        """The peer's half; the same again has no effect."""
        await self._client.call(wire.Complete, leg=leg, remote=remote)

    async def update(self, leg: int, offer: LegOffer, restart_ice: bool = False) -> LegLocal:
        """Changes our half."""
        reply = await self._client.call(wire.Update, leg=leg, offer=offer, restart_ice=restart_ice)
        return _expect(wire.LegOpened, reply).leg

    async def bridge(self, a: int, b: int) -> None:
        """Each becomes the other's source."""
        await self._client.call(wire.Bridge, a=a, b=b)

    async def join(self, leg: int, room: int, muted: bool = False, full_band: bool = False) -> None:
        """The leg is in the room of that number."""
        await self._client.call(wire.Join, leg=leg, room=room, muted=muted, full_band=full_band)

    async def mute(self, leg: int, muted: bool) -> None:
        """The leg is heard in its room, or is not."""
        await self._client.call(wire.Mute, leg=leg, muted=muted)

    async def gain(self, leg: int, decibels: int) -> None:
        """The leg is heard in its room by so much louder or softer, -40 to 12 dB."""
        await self._client.call(wire.Gain, leg=leg, decibels=decibels)

    async def play(self, leg: int, source: SourceKind, country: str = "US") -> None:
        """A player becomes the leg's source."""
        await self._client.call(wire.Play, leg=leg, source=source, country=country)

    async def play_files(
        self, leg: int, play: str, files: tuple[str, ...], rounds: int = 1, until_digit: bool = False
    ) -> None:
        """Sound files become the leg's source; `PlayFinished` names `play` in the end."""
        fields = {"play": play, "files": files, "rounds": rounds, "until_digit": until_digit}
        await self._client.call(wire.PlayFiles, leg=leg, **fields)

    async def record(self, leg: int, spec: Recording) -> None:
        """Begins a recording; `RecordingFinished` names it in the end."""
        await self._client.call(wire.RecordStart, leg=leg, spec=spec)

    async def pause_recording(self, leg: int, recording: str) -> None:
        """Silence is written from now on."""
        await self._client.call(wire.RecordPause, leg=leg, recording=recording)

    async def resume_recording(self, leg: int, recording: str) -> None:
        """Sound is written again."""
        await self._client.call(wire.RecordResume, leg=leg, recording=recording)

    async def stop_recording(self, leg: int, recording: str) -> None:
        """Ends a recording."""
        await self._client.call(wire.RecordStop, leg=leg, recording=recording)

    async def feed(self, leg: int, spec: Feed) -> None:
        """Begins a feed; `FeedChanged` names it as it goes."""
        await self._client.call(wire.FeedStart, leg=leg, spec=spec)

    async def stop_feed(self, leg: int, feed: str) -> None:
        """Ends a feed."""
        await self._client.call(wire.FeedStop, leg=leg, feed=feed)

    async def stop(self, leg: int) -> None:
        """Ends the leg's player."""
        await self._client.call(wire.Stop, leg=leg)

    async def watch_voice(self, leg: int, on: bool = True) -> None:
        """`VoiceActivity` tells of the leg's peer from now on, or no more."""
        await self._client.call(wire.WatchVoice, leg=leg, on=on)

    async def facts(self, leg: int) -> LegFacts:
        """Everything the engine knows of a leg."""
        return _expect(wire.FactsFound, await self._client.call(wire.Facts, leg=leg)).facts

    async def legs(self) -> tuple[tuple[int, int, str, str], ...]:
        """(call, leg, local, remote) of what runs."""
        return _expect(wire.Legs, await self._client.call(wire.ListLegs)).legs

    async def close_leg(self, leg: int) -> tuple[LegFacts, ...]:
        """Closes one leg."""
        return _expect(wire.Closed, await self._client.call(wire.CloseLeg, leg=leg)).legs

    async def close_call(self, call: int) -> tuple[LegFacts, ...]:
        """Closes a call; its legs' last facts."""
        return _expect(wire.Closed, await self._client.call(wire.CloseCall, call=call)).legs

    def disconnect(self) -> None:
        """Closes the connection only."""
        self._client.close()

    async def exit(self) -> None:
        """Ends the engine."""
        await self._client.call(wire.Exit)


def _expect(kind: type[ReplyType], reply: object) -> ReplyType:
    if not isinstance(reply, kind):
        raise MediaError("bad_reply", f"{type(reply).__name__} came where {kind.__name__} was due")
    return reply
