"""Recordings by the real engine, in real time: levels, places, pauses, limits, and what a killed engine
leaves."""

import asyncio
import os
import resource
import signal
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from offhook.calls.ports import RecordedSide, Recording
from offhook.media import messages as m
from offhook.media.client import MediaError
from tests.support.patience import PATIENCE
from tests.support.rtp_peer import RATE, RtpPeer, offer, silence, tone

pytestmark = pytest.mark.real_time
LEFT, RIGHT = 1_000.0, 625.0
TONES = (LEFT, RIGHT, 440.0)
"""Hz: what anybody here says."""
QUIET = 50.0
"""Of full scale 32,768: below it nobody speaks."""
BOTH = RecordedSide.BOTH
#: Opus quantises the gain of speech in steps of 1.37 dB (RFC 6716 4.2.7.4): a steady tone may lie one of them off.
OPUS_GAIN_STEP = 10 ** (1.37 / 20) - 1


@pytest.fixture
async def host(hosts, tmp_path):
    return await hosts(recordings=tmp_path / "recordings", grace=60)


@pytest.fixture
async def peers():
    pair = (RtpPeer(1), RtpPeer(2))
    yield pair
    for peer in pair:
        peer.close()


async def bridged(host, peers) -> list[int]:
    opened = await host.engine.open_call((offer(), offer()))
    for leg, peer in zip(opened.legs, peers, strict=True):
        peer.meets(leg)
        await host.engine.complete(leg.leg, peer.remote)
    await host.engine.bridge(opened.legs[0].leg, opened.legs[1].leg)
    return [leg.leg for leg in opened.legs]


async def finished(host, count: int = 1) -> list[m.RecordingFinished]:
    await host.until(lambda: len(host.of(m.RecordingFinished)) >= count)
    return host.of(m.RecordingFinished)


def read(path: Path) -> np.ndarray:
    """Frames by channel, as floats."""
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE
        raw = file.readframes(file.getnframes())
        return np.frombuffer(raw, "<i2").reshape(-1, file.getnchannels()).astype(float)


def level(samples: np.ndarray, hertz: float, rate: int = RATE) -> float:
    """Amplitude of a frequency where the sound is steady: a machine that is late bends it, whatever is recorded.

    Of windows of 40 ms, the quarter counts that our tones explain best.
    """
    size = rate // 25
    windows = np.lib.stride_tricks.sliding_window_view(samples.astype(float), size)[:: size // 2]
    turns = np.exp(2j * np.pi * np.outer(np.arange(size), TONES) / rate)
    basis = np.hstack((turns.real, turns.imag))
    found = windows @ np.linalg.pinv(basis).T
    power = (windows**2).sum(axis=1)
    left = ((windows - found @ basis.T) ** 2).sum(axis=1) / np.maximum(power, 1e-9)
    left[power < size * QUIET**2] = np.inf
    best = np.argsort(left)[: max(1, len(left) // 4)]
    at = TONES.index(hertz)
    return float(np.median(np.hypot(found[best, at], found[best, at + len(TONES)])))


def voice_ms(samples: np.ndarray) -> tuple[int, int]:
    """From the first sound to the last, ms."""
    stretches = loud_ms(samples)
    return stretches[0][0], stretches[-1][1]


async def grown(path: Path, true: Callable[[bytes], object]) -> None:
    """Waits until a file that is being written holds so much."""
    async with asyncio.timeout(PATIENCE):
        while not (path.exists() and true(path.read_bytes())):
            await asyncio.sleep(0.05)


def loud_ms(samples: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of sound, ms."""
    loud = np.abs(samples[: len(samples) // 40 * 40].reshape(-1, 40)).max(axis=1) > 1_000
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.astype(int), [0]))))
    return [(int(start) * 5, int(end) * 5) for start, end in zip(edges[::2], edges[1::2], strict=True)]


async def test_both_sides_are_in_their_channels_and_in_step(host, peers, tmp_path):
    legs = await bridged(host, peers)
    clock = asyncio.get_running_loop().time
    asked = clock()
    await host.engine.record(legs[0], Recording("r1", "2026/call.wav", BOTH))
    begun = clock()
    sound = [np.concatenate((silence(0.5), tone(hertz, 1.0), silence(0.5))) for hertz in (LEFT, RIGHT)]
    await asyncio.gather(*(peer.speak(one) for peer, one in zip(peers, sound, strict=True)))
    ending = clock()
    await host.engine.stop_recording(legs[0], "r1")
    ended = clock()
    (told,) = await finished(host)
    late = host.late_ms()
    # 1. The event says what the file holds.
    path = tmp_path / "recordings" / "2026" / "call.wav"
    assert (told.reason, told.file, told.bytes, told.marks) == ("stopped", "2026/call.wav", path.stat().st_size, ())
    frames = read(path)
    assert (ending - begun) * 1_000 - 40 <= told.duration_ms <= (ended - asked) * 1_000 + 40, "two ticks at most"
    assert len(frames) * 1_000 // RATE == told.duration_ms
    assert not path.with_suffix(".wav.part").exists()
    # 2. Left is what the peer of the leg says, right what it hears, each by itself.
    left, right = voice_ms(frames[:, 0]), voice_ms(frames[:, 1])
    middle = slice((left[0] + 200) * 8, (left[0] + 700) * 8)
    assert level(frames[middle, 0], LEFT) == pytest.approx(8_000, rel=0.03)
    assert level(frames[middle, 1], RIGHT) == pytest.approx(8_000, rel=0.03)
    assert level(frames[middle, 0], RIGHT) < 80
    assert level(frames[middle, 1], LEFT) < 80
    # 3. What was said at once is heard at once, as long as it was.
    assert abs(left[0] - right[0]) <= 20 + late
    assert abs(left[1] - left[0] - 1_000) <= 20 + late
    assert abs(right[1] - right[0] - 1_000) <= 20 + late


async def test_a_pause_is_silence_and_marked(host, peers, tmp_path):
    legs = await bridged(host, peers)
    await host.engine.record(legs[0], Recording("r1", "call.wav", RecordedSide.SAYS))
    speaking = asyncio.create_task(peers[0].speak(tone(LEFT, 2.0)))
    await asyncio.sleep(0.6)
    await host.engine.pause_recording(legs[0], "r1")
    await asyncio.sleep(0.6)
    await host.engine.resume_recording(legs[0], "r1")
    await speaking
    await host.engine.stop_recording(legs[0], "r1")
    (told,) = await finished(host)
    ((begin, end, why),) = told.marks
    assert why == "pause"
    frames = read(tmp_path / "recordings" / "call.wav")
    loud, late = loud_ms(frames[:, 0]), 30 + host.late_ms()
    first = max(until for _, until in loud if until <= begin + late)
    second = min(since for since, _ in loud if since >= end - late)
    assert (abs(first - begin) <= late, abs(second - end) <= late) == (True, True), (loud, told.marks, late)
    margin = int(late) + 10
    assert not np.any(frames[(begin + margin) * 8 : (end - margin) * 8])
    # The mark is in the file too, where players show it.
    assert b"cue " in (tmp_path / "recordings" / "call.wav").read_bytes()[-200:]


async def test_a_killed_engine_leaves_a_playable_file(host, peers, tmp_path):
    legs = await bridged(host, peers)
    await host.engine.record(legs[0], Recording("wave", "call.wav", BOTH))
    await host.engine.record(legs[0], Recording("ogg", "call.ogg", BOTH))
    await peers[0].speak(tone(LEFT, 7.0))
    wav, ogg = (tmp_path / "recordings" / f"call.{kind}.part" for kind in ("wav", "ogg"))
    late = host.late_ms()
    await grown(wav, lambda data: len(data) >= 6 * RATE * 4 + 44 and len(read(wav)) >= 4 * RATE)
    await grown(ogg, lambda data: data.count(b"OggS") >= 6)
    os.kill(host.engine.pid, signal.SIGKILL)
    await host.until(lambda: host.losses)
    frames = read(wav)
    assert len(frames) >= 4 * RATE
    begin, end = voice_ms(frames[:, 0])
    assert begin < 200 + late
    assert end - begin >= 3_500 - late
    assert ogg.read_bytes().count(b"OggS") >= 6, "a page a second"
    # The next engine makes them whole; what is no recording, and what would overwrite one, it leaves.
    with ogg.open("ab") as file:
        file.write(b"OggS\0 half a page")
    (tmp_path / "recordings" / "notes.txt.part").write_text("mine")
    whole = wav.stat().st_size
    await host.until(lambda: len(crashes(host)) >= 3)
    lines = crashes(host)
    assert [("whole" in one, "notes" in one) for one in lines] == [(True, False), (True, False), (False, True)]
    assert not list((tmp_path / "recordings").glob("call.*.part"))
    frames = read(tmp_path / "recordings" / "call.wav")
    assert (len(frames) * 4 + 44, len(frames) > 6 * RATE) == (whole, True)
    sound = decoded(tmp_path / "recordings" / "call.ogg", 0)
    assert level(sound[RATE : 5 * RATE], LEFT) == pytest.approx(8_000, rel=OPUS_GAIN_STEP)


def crashes(host) -> list[str]:
    """What an engine said of the recordings that the last one left."""
    return sorted(one.text for one in host.of(m.LogLine) if "crash" in one.text)


def decoded(path: Path, channel: int) -> np.ndarray:
    """One channel of an Ogg Opus file, by FFmpeg's decoder, at the rate of `level`."""
    resampler = av.AudioResampler("flt", "stereo", RATE)
    with av.open(str(path)) as file:
        assert file.streams.audio[0].codec_context.name == "opus"
        parts = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
        parts += resampler.resample(None)
    return np.concatenate([part.to_ndarray().reshape(-1, 2)[:, channel] for part in parts]).astype(float) * 32_768


async def test_ogg_opus_is_decoded_by_another_program(host, peers, tmp_path):
    legs = await bridged(host, peers)
    await host.engine.record(legs[0], Recording("both", "both.ogg", BOTH))
    await host.engine.record(legs[0], Recording("says", "says.ogg", RecordedSide.SAYS))
    sound = [np.concatenate((silence(0.3), tone(hertz, 1.2), silence(0.3))) for hertz in (LEFT, RIGHT)]
    await asyncio.gather(*(peer.speak(one) for peer, one in zip(peers, sound, strict=True)))
    for name in ("both", "says"):
        await host.engine.stop_recording(legs[0], name)
    told = await finished(host, 2)
    # 1. Both files are as long as the events say.
    for one in told:
        samples = decoded(tmp_path / "recordings" / one.file, 0)
        assert abs(len(samples) * 1_000 / RATE - one.duration_ms) < 60
    # 2. Each voice is in its channel, as loud as it was, and alone.
    for channel, own, other in ((0, LEFT, RIGHT), (1, RIGHT, LEFT)):
        samples = decoded(tmp_path / "recordings" / "both.ogg", channel)
        middle = samples[int(0.5 * RATE) : int(1.3 * RATE)]
        assert level(middle, own) == pytest.approx(8_000, rel=OPUS_GAIN_STEP)
        assert level(middle, other) < 100
    alone = decoded(tmp_path / "recordings" / "says.ogg", 0)[int(0.5 * RATE) : int(1.3 * RATE)]
    # A file of one channel: the resampler shares its power among two.
    assert level(alone, LEFT) * 2**0.5 == pytest.approx(8_000, rel=OPUS_GAIN_STEP)


async def test_length_silence_and_the_end_of_the_leg_end_it(host, peers, tmp_path):
    legs = await bridged(host, peers)
    await host.engine.record(legs[0], Recording("short", "short.wav", BOTH, max_seconds=1))
    await host.engine.record(legs[0], Recording("quiet", "quiet.wav", RecordedSide.SAYS, silence_ms=600))
    await host.engine.record(legs[1], Recording("whole", "whole.wav", BOTH))
    await peers[0].speak(np.concatenate((tone(LEFT, 0.6), silence(1.8))))
    await finished(host, 2)
    await host.engine.close_leg(legs[1])
    told = {one.recording: one for one in await finished(host, 3)}
    assert {name: one.reason for name, one in told.items()} == {"short": "length", "quiet": "silence", "whole": "ended"}
    assert told["short"].duration_ms == 1_000
    assert 1_200 <= told["quiet"].duration_ms < 1_600 + host.late_ms()
    # Those that ended by themselves are gone: their names are free again.
    await host.engine.record(legs[0], Recording("short", "again.wav", BOTH))


async def test_a_file_that_cannot_be_written_harms_no_call(host, peers, tmp_path):
    legs = await bridged(host, peers)
    taken = tmp_path / "recordings" / "taken.wav"
    taken.parent.mkdir(exist_ok=True)
    taken.write_bytes(b"somebody else's")
    for name in ("taken.wav", "../outside.wav", "/etc/outside.wav", "no-ending"):
        count = len(host.of(m.RecordingFinished)) + 1
        await host.engine.record(legs[0], Recording(name, name, BOTH))
        told = (await finished(host, count))[-1]
        assert (told.recording, told.reason) == (name, "failed")
        assert told.text
    assert taken.read_bytes() == b"somebody else's"
    assert not (tmp_path / "outside.wav").exists()
    peers[1].heard.clear()
    await peers[0].speak(tone(LEFT, 0.5))
    await peers[1].hears(20)
    assert level(peers[1].listened()[800:], LEFT) > 7_000


async def test_a_full_disk_ends_it_with_the_reason_and_keeps_what_there_is(host, peers, tmp_path):
    legs = await bridged(host, peers)
    # A limit of the process on the size of files is met as a full disk is: a write fails.
    resource.prlimit(host.engine.pid, resource.RLIMIT_FSIZE, (32_044, 32_044))
    await host.engine.record(legs[0], Recording("r1", "call.wav", BOTH))
    await peers[0].speak(tone(LEFT, 2.5))
    (told,) = await finished(host)
    assert told.reason == "failed"
    assert "call.wav" in told.text
    begin, end = voice_ms(read(tmp_path / "recordings" / "call.wav")[:, 0])
    assert end - begin >= 800 - host.late_ms()
    # The call goes on.
    await peers[1].hears(120)
    assert level(peers[1].listened()[-RATE:], LEFT) > 7_000


async def test_an_unknown_recording_is_refused_by_name(host, peers):
    legs = await bridged(host, peers)
    with pytest.raises(MediaError) as refusal:
        await host.engine.stop_recording(legs[0], "nothing")
    assert refusal.value.code == "unknown_recording"
    assert "nothing" in refusal.value.text
