"""One UDP port for browsers of several shards (MEDIA.md section 2 row 5): `media.single_port`."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import numpy as np
import pytest
from aioice import stun
from aiortc import RTCPeerConnection

from offhook.calls.ports import LegLocal, LegRemote
from offhook.media import messages as m
from tests.media.conftest import Host
from tests.media.test_local_addresses import THEIRS, check, heard
from tests.media.test_process import HERE, PCMU, packet
from tests.media.test_unread import BROWSERS, NOTHING, RTC, facts_with, standing_still
from tests.media.test_webrtc_aiortc import RATE, TONE, connect, hear, purity
from tests.support.patience import PATIENCE

SHARDS = 2
REMOTE = LegRemote((PCMU,), ufrag=THEIRS, password="p" * 24, fingerprints=(("sha-256", ":".join(["AB"] * 32)),))


@pytest.fixture
async def browsers() -> AsyncIterator[list[RTCPeerConnection]]:
    peers = [RTCPeerConnection() for _ in range(SHARDS)]
    yield peers
    await asyncio.gather(*(peer.close() for peer in peers))


async def spread(host: Host, browsers: list[RTCPeerConnection]) -> list[LegLocal]:
    """A leg for each browser, each on a shard of its own."""
    legs = []
    for browser in browsers:
        legs.append(await connect(host, browser, "PCMU", active=False))
        # Load is told behind the answer: a second round trip through the shard is after it.
        await host.engine.facts(legs[-1].leg)
    assert {leg.leg >> 56 for leg in legs} == set(range(SHARDS))
    return legs


@pytest.mark.real_time
async def test_1_browsers_of_all_shards_are_heard_and_hear_through_one_port(hosts, browsers):
    host = await hosts(shards=SHARDS, single_port=True)
    legs = await spread(host, browsers)
    # 1. one port is told to all
    assert len({port for leg in legs for _, port in leg.candidates}) == 1
    assert host.engine.webrtc_ports == (legs[0].candidates[0][1],)
    # 2. the sound of each comes back to it, which is both ways, at once
    for back in await asyncio.gather(*(hear(browser, 2.0) for browser in browsers)):
        sound = max((back[at : at + RATE // 2] for at in range(RATE // 4, RATE * 3 // 2, RATE // 8)), key=purity)
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
        assert abs(np.argmax(spectrum) * RATE / sound.size - TONE) < 5
        assert purity(sound) > 0.9
    # 3. and what the engine sends comes from the port that the browsers were told
    for leg in legs:
        facts = await host.engine.facts(leg.leg)
        assert (facts.path_state, facts.keys_state, facts.verdict_in, facts.verdict_out) == (
            "connected",
            "ready",
            "",
            "",
        )
        assert facts.local.rpartition(":")[2] == str(leg.candidates[0][1])


async def legs_of_all_shards(host: Host) -> list[LegLocal]:
    """A browser's leg on each shard, which knows its peer's description."""
    legs = []
    for _ in range(SHARDS):
        legs.append((await host.engine.open_call((RTC,))).legs[0])
        await host.engine.complete(legs[-1].leg, REMOTE)
        await host.engine.facts(legs[-1].leg)
    assert {leg.leg >> 56 for leg in legs} == set(range(SHARDS))
    return legs


@pytest.fixture
def clients() -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        for one in both:
            one.bind((HERE, 0))
            one.setblocking(False)
        yield both


async def until_evidence(host: Host, leg: LegLocal, name: str, value: str) -> dict[str, str]:
    """The evidence of the leg's facts as soon as it says so."""
    async with asyncio.timeout(PATIENCE):
        while (evidence := (await host.engine.facts(leg.leg)).evidence).get(name) != value:
            await asyncio.sleep(0.02)
    return evidence


async def test_2_a_stranger_who_names_a_shard_leaves_nothing_anywhere(hosts, clients):
    host = await hosts(shards=SHARDS, single_port=True)
    for leg in await legs_of_all_shards(host):
        # Connected: an answer from any other address or port would not come in.
        stranger, client = clients
        for one in clients:
            one.connect((HERE, leg.candidates[0][1]))
        # 1. whose check is wrong, is not believed, and what it sends then is nobody's
        stranger.send(check(replace(leg, password="x" * 24)))
        await until_evidence(host, leg, "stun_bad_integrity", "1")
        stranger.send(packet(1))
        # 2. who knows the password is answered from where it asked, and heard
        client.send(check(leg))
        answer = stun.parse_message(await heard(client))
        assert answer.message_class == stun.Class.RESPONSE
        assert answer.check_message_integrity(leg.password.encode())
        client.send(packet(1))
        evidence = await until_evidence(host, leg, "datagrams", "1")
        assert (evidence["stun_requests"], evidence["stun_bad_integrity"]) == ("1", "1")


async def test_3_who_moves_to_a_leg_of_another_shard_is_heard_there(hosts, clients):
    host = await hosts(shards=SHARDS, single_port=True)
    legs, client = await legs_of_all_shards(host), clients[0]
    client.connect((HERE, legs[0].candidates[0][1]))
    for count, leg in ((1, legs[0]), (1, legs[1]), (2, legs[0]), (2, legs[1])):
        client.send(check(leg))
        await heard(client)
        client.send(packet(count))
        await until_evidence(host, leg, "datagrams", str(count))


async def test_4_what_the_port_had_no_room_for_is_a_fact_on_every_shard(hosts, clients):
    host = await hosts(shards=SHARDS, single_port=True)
    legs, flood = await legs_of_all_shards(host), clients[0]
    flood.setblocking(True)
    async with standing_still(host.engine.pid):
        for _ in range(BROWSERS):
            flood.sendto(NOTHING, (HERE, legs[0].candidates[0][1]))
    facts = [await facts_with(host, leg.leg, "port_drops") for leg in legs]
    await host.until(lambda: host.of(m.Unread))
    dropped = sum(one.lost for one in host.of(m.Unread))
    assert 0 < dropped < BROWSERS
    assert [one.evidence["port_drops"] for one in facts] == [str(dropped)] * SHARDS
