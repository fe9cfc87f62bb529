"""Sound files by the real engine: found by name below given directories, decoded, encoded, heard."""

import wave
from pathlib import Path

import numpy as np
import pytest

from offhook.media import messages as m
from tests.support.rtp_peer import RtpPeer, offer


def write(path: Path, hertz: float, rate: int, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    at = np.arange(int(rate * seconds)) / rate
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((8_000 * np.sin(2 * np.pi * hertz * at)).astype("<i2").tobytes())


@pytest.fixture
async def host(hosts, tmp_path):
    write(tmp_path / "shipped" / "en" / "one.wav", 500, 16_000, 0.4)
    write(tmp_path / "shipped" / "en" / "two.wav", 1_000, 44_100, 0.4)
    write(tmp_path / "own" / "en" / "two.wav", 1_500, 8_000, 0.4)
    (tmp_path / "own" / "en" / "bad.wav").write_bytes(b"no sound")
    return await hosts(sounds=(tmp_path / "own", tmp_path / "shipped"))


@pytest.fixture
async def peer():
    one = RtpPeer(1)
    yield one
    one.close()


async def leg_of(host, peer) -> int:
    opened = await host.engine.open_call((offer(),))
    peer.meets(opened.legs[0])
    await host.engine.complete(opened.legs[0].leg, peer.remote)
    return opened.legs[0].leg


async def over(host, count: int = 1) -> m.PlayFinished:
    await host.until(lambda: len(host.of(m.PlayFinished)) >= count)
    return host.of(m.PlayFinished)[-1]


def level(samples: np.ndarray, hertz: float) -> float:
    at = np.arange(len(samples)) / 8_000
    return float(2 * abs((samples * np.exp(-2j * np.pi * hertz * at)).mean()))


async def test_files_are_heard_in_order_and_own_ones_go_before_shipped_ones(host, peer):
    leg = await leg_of(host, peer)
    await host.engine.play_files(leg, "p1", ("en/one", "en/two.wav"))
    told = await over(host)
    assert (told.leg, told.play, told.reason, told.played_ms) == (leg, "p1", "finished", 800)
    await peer.hears(40)
    heard = peer.listened().astype(float)
    first, second = heard[400:2_800], heard[3_600:6_000]
    assert level(first, 500) == pytest.approx(8_000, rel=0.05)
    assert level(second, 1_500) == pytest.approx(8_000, rel=0.05)
    assert level(second, 1_000) < 100, "the shipped one of that name is not heard"


@pytest.mark.parametrize("name", ["en/three", "../own/en/two", "/etc/hostname", "en/bad", ""])
async def test_what_cannot_be_played_is_named(host, peer, name):
    leg = await leg_of(host, peer)
    await host.engine.play_files(leg, "p1", (name,))
    told = await over(host)
    assert told.reason == "failed"
    assert name in told.text
    assert peer.heard == []


async def test_a_second_player_of_the_same_file_and_codec_costs_no_encoding(host, peer):
    leg = await leg_of(host, peer)
    for count in (1, 2, 3):
        await host.engine.play_files(leg, f"p{count}", ("en/one",))
        assert (await over(host, count)).reason == "finished"
        await peer.hears(20 * count)
    size = len(peer.heard) // 3
    rounds = [peer.heard[at * size : (at + 1) * size] for at in range(3)]
    assert rounds[0] == rounds[1] == rounds[2]
