"""The parameters of `calling.stream` and `calling.stream.stop`, checked (API.md 13.1)."""

import re
from collections.abc import Mapping
from typing import Any

from offhook.api.dial_fields import Reader
from offhook.calls.commands import StartStream, StopStream
from offhook.calls.ports import Feed, FeedEncoding, FeedTrack
from offhook.sip.grammar import CONTROL

CODEC = re.compile(r"(PCMU|L16)(?:@(8000|16000|24000)h?)?(?:@20i)?|(OPUS)(?:@48000h?)?(?:@\d{1,3}i)?", re.I)
"""A name and a rate, as the hosted platform writes them; PCMU is 8 kHz, L16 without a rate 16 kHz. Opus is carried as it
comes, whatever its packets' length."""
TRACKS = {"inbound_track": FeedTrack.INBOUND, "outbound_track": FeedTrack.OUTBOUND, "both_tracks": FeedTrack.BOTH}
MOST_PARAMETERS = 32
LONGEST = 1_024
"""Characters of a token and of a parameter's value."""


async def start_stream(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[StartStream]:
    """A stream to a WebSocket. `offhook.two_way` lets the receiver be heard."""
    url = params.get("url")
    if url is None or url == "":
        reader.fault("url", "missing_required_parameter", "url is required")
    address = await reader.stream_address(url) if url else ""
    control = reader.words("control_id", 128) or reader.new_id()
    encoding, rate = _codec(reader, params)
    own = params.get("offhook")
    two_way = own.get("two_way", False) if isinstance(own, dict) else False
    if not isinstance(two_way, bool):
        reader.fault("offhook.two_way", "invalid_parameter", "Two_way must be true or false")
    spec = Feed(
        reader.new_id(), str(url), address, _track(reader, params), encoding, rate, bool(two_way),
        reader.words("authorization_bearer_token", LONGEST), reader.project, id_, _parameters(reader, params),
    )  # fmt: skip
    return [StartStream(id_, control, spec, reader.words("name"))]


async def stop_stream(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[StopStream]:
    """The end of one."""
    control = reader.words("control_id", 128)
    if not control and not reader.faults:
        reader.fault("control_id", "missing_required_parameter", "control_id is required")
    return [StopStream(id_, control)]


def _codec(reader: Reader, params: Mapping[str, Any]) -> tuple[FeedEncoding, int]:
    value = params.get("codec") or "PCMU"
    found = CODEC.fullmatch(value) if isinstance(value, str) else None
    if found is not None and found[3]:
        return FeedEncoding.OPUS, 48_000
    narrow = found is not None and found[1].upper() == "PCMU"
    if found is None or (narrow and found[2] not in (None, "8000")):
        text = "codec must be one of: PCMU, L16@8000h, L16@16000h, L16@24000h, OPUS"
        reader.fault("codec", "invalid_parameter_value", text)
        return FeedEncoding.MULAW, 8_000
    return (FeedEncoding.MULAW, 8_000) if narrow else (FeedEncoding.L16, int(found[2] or 16_000))


def _track(reader: Reader, params: Mapping[str, Any]) -> FeedTrack:
    value = params.get("track") or "inbound_track"
    track = TRACKS.get(value) if isinstance(value, str) else None
    if track is None:
        reader.fault("track", "invalid_parameter_value", f"track must be one of: {', '.join(TRACKS)}")
    return track or FeedTrack.INBOUND


def _parameters(reader: Reader, params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    given = params.get("custom_parameters")
    if given is None:
        return ()

    def good(text: object) -> bool:
        return isinstance(text, str) and len(text) <= LONGEST and not CONTROL.search(text)

    if not isinstance(given, dict) or not all(good(name) and good(value) for name, value in given.items()):
        reader.fault("custom_parameters", "invalid_parameter", "Custom_parameters must be an object of texts")
        return ()
    if len(given) > MOST_PARAMETERS:
        text = f"Custom_parameters may have {MOST_PARAMETERS} pairs"
        reader.fault("custom_parameters", "invalid_parameter", text)
    return tuple(given.items())
