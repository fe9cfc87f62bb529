"""One sample of every message of the media control protocol; `python -m tests.support.media_samples` writes them down.

Both ends of the protocol decode and re-encode each to the same bytes: tests/media/test_messages.py and
crates/engine/src/control/samples.rs.
"""

from pathlib import Path

import msgspec

from offhook.calls.ports import (
    Codec,
    Crypto,
    Direction,
    Extension,
    Feed,
    FeedEncoding,
    FeedTrack,
    KeyKind,
    Latch,
    LegFacts,
    LegLocal,
    LegOffer,
    LegRemote,
    PathKind,
    Quality,
    RecordedSide,
    Recording,
    SourceKind,
    VideoCodec,
    VideoFacts,
    VideoLocal,
    VideoOffer,
    VideoRemote,
)
from offhook.media import messages as wire

FOLDER = Path(__file__).parent.parent / "vectors" / "media-control"

OPUS = Codec("OPUS", 111, 48_000, 2, "minptime=10;useinbandfec=1")
EVENT = Codec("TELEPHONE-EVENT", 101, 8_000, 1, "0-16")
VP8 = VideoCodec("VP8", 96, 97, "VP8")
VIDEO = VideoOffer((VP8,), Direction.RECVONLY, "1", (Extension(3, "urn:3gpp:video-orientation"),))
BROWSER = LegOffer(PathKind.WEBRTC, KeyKind.DTLS, (OPUS, EVENT), audio_level_id=1, mid_id=2, mid="0", video=VIDEO)
PHONE = LegOffer(
    PathKind.PORT,
    KeyKind.PLAIN,
    (Codec("PCMU", 0, 8_000),),
    "192.0.2.1",
    False,
    Latch.EXACT,
    True,
    Direction.SENDONLY,
    30,
    suites=("AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80"),
    detect_digits=True,
)
KEY = Crypto("AES_CM_128_HMAC_SHA1_80", "00112233445566778899aabbccddeeff" + "0123456789abcdef0123456789ab")
REMOTE = LegRemote(
    (OPUS,),
    "192.0.2.9",
    40_000,
    40_001,
    "abcd",
    "a-password-of-a-peer",
    (("sha-256", "AA:BB"),),
    Direction.RECVONLY,
    20,
    7,
    (KEY,),
    True,
    VideoRemote((VP8,), "192.0.2.9", 40_002, 40_003, Direction.SENDONLY, 9, (KEY,), ("nack", "nack pli"), True),
)
LOCAL = LegLocal(
    0x0100_0001_0000_0002,
    (("192.0.2.1", 40_000),),
    0,
    "01000001",
    "a-password",
    "CC:DD",
    4_000_000_000,
    "cname",
    (KEY,),
    video=VideoLocal(4_000_000_001, 4_000_000_002, (("192.0.2.1", 40_002),), 40_003, (KEY,)),
)
VIDEO_FACTS = VideoFacts(
    "VP8", "192.0.2.1:40000", "203.0.113.7:60112", "open", 240, 12, 14, 900, 880, 3, 2, 4, 0.5, 3.5, 40.5, 0.25, 2, 0
)
QUALITY = Quality(2710, 2708, 3, 9, 2, 0, 0.4, 34.25, 48.5, 0.0, 4.1, 60, 180, 3.9, 1, 2, -12.5, 37, 4)
FACTS = LegFacts(
    72_057_598_332_895_234, "192.0.2.1:40000", "203.0.113.7:60112", "connected", "ready", "AEAD_AES_256_GCM", "OPUS", "PCMU",
    True, "leg:0x1", "open", 212, 15, -1, 20, "", "no_source", {"datagrams": "202", "stun_requests": "9"}, QUALITY,
    VIDEO_FACTS,
)  # fmt: skip

SAMPLES: tuple[wire.Message, ...] = (
    wire.Hello(1, 4711, (40_000, 40_001)),
    wire.OpenCall(1, (BROWSER, PHONE), 72_057_594_037_927_936),
    wire.OpenLeg(2, 72_057_594_037_927_937, PHONE),
    wire.Complete(3, 72_057_598_332_895_234, REMOTE),
    wire.Update(4, 5, BROWSER, True, True),
    wire.Bridge(5, 1, 2),
    wire.Join(6, 1, 72_057_594_037_927_937, True, True),
    wire.Mute(26, 1, True),
    wire.Gain(27, 1, -12),
    wire.WatchVoice(28, 1, True),
    wire.Chime(27, 72_057_594_037_927_937, "tones/joined"),
    wire.Play(6, 1, SourceKind.MUSIC, "US"),
    wire.PlayFiles(6, 1, "p1", ("en/the-time-is", "en/8"), 2, True),
    wire.RecordStart(6, 1, Recording("r1", "2026/11/call.wav", RecordedSide.SAYS, 60, 3_000)),
    wire.RecordPause(6, 1, "r1"),
    wire.RecordResume(6, 1, "r1"),
    wire.RecordStop(6, 1, "r1"),
    wire.FeedStart(
        6,
        1,
        Feed(
            "f1",
            "wss://example.com/a",
            "192.0.2.7:443",
            FeedTrack.BOTH,
            FeedEncoding.L16,
            24_000,
            True,
            "t",
            "a",
            "c",
            (("name", "value"),),
        ),
    ),
    wire.FeedStop(6, 1, "f1"),
    wire.Stop(7, 1),
    wire.Hush(7, 1),
    wire.SendDigits(8, 1, "12#", 100),
    wire.RequestKeyFrame(8, 1),
    wire.Facts(9, 1),
    wire.ListLegs(10),
    wire.CloseLeg(11, 1),
    wire.CloseCall(300, 70_000),
    wire.Exit(70_000),
    wire.CallOpened(1, 72_057_594_037_927_937, (LOCAL,)),
    wire.LegOpened(2, LOCAL),
    wire.Done(3),
    wire.FactsFound(4, FACTS),
    wire.Legs(5, ((1, 2, "192.0.2.1:40000", "203.0.113.7:60112"),)),
    wire.Closed(6, (FACTS,)),
    wire.Refused(7, "ports_exhausted", "every port for phones is in use"),
    wire.PathChanged(1, "192.0.2.1:40000", "203.0.113.7:60112", "ice"),
    wire.KeysReady(1, "AEAD_AES_256_GCM"),
    wire.FirstMedia(1, 212),
    wire.MediaStopped(1, 5_000),
    wire.MediaResumed(1),
    wire.Digit(1, "5", 120, "rfc4733"),
    wire.QualityReported(1, QUALITY),
    wire.SilenceFound(1, "in", "wrong_payload_type", {"count": "25", "payload_type": "96"}),
    wire.RoomSpeaker(72_057_594_037_927_937, 1),
    wire.VoiceActivity(1, True),
    wire.Heard(1, "out"),
    wire.PlayFinished(1, "p1", "failed", "en/9: there is no such sound", 1_240),
    wire.RecordingFinished(1, "r1", "2026/11/call.wav", "stopped", "", 61_020, 1_952_684, ((2_000, 3_500, "pause"),)),
    wire.FeedChanged(1, "f1", "finished", "failed", "the receiver was lost", 3_050, 12),
    wire.LegFailed(1, "panic"),
    wire.KeyFrameWanted(1),
    wire.Unread(40_000, 17),
    wire.LogLine("warning", "the shard's queue is full"),
)


def write() -> None:
    """Writes one file of hexadecimal octets for each sample."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for sample in SAMPLES:
        (FOLDER / f"{type(sample).__name__}.hex").write_text(msgspec.msgpack.encode(sample).hex() + "\n")


if __name__ == "__main__":
    write()
