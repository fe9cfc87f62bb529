"""The engine's process: started, watched, taken over, ended; and packets through it over real sockets."""

import asyncio
import contextlib
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from interop.support.loopback import loopbacks
from offhook.calls.ports import Codec, KeyKind, LegOffer, LegRemote, PathKind
from offhook.media import messages as m
from offhook.media.client import MediaClient, MediaError
from offhook.media.process import MediaOptions, MediaProcess
from tests.media.conftest import range_of
from tests.support.patience import PATIENCE

PCMU = Codec("PCMU", 0, 8_000)
HERE = "127.0.0.1"


def phone(address: str = HERE, mux: bool = True) -> LegOffer:
    return LegOffer(PathKind.PORT, KeyKind.PLAIN, (PCMU,), address=address, rtcp_mux=mux)


def packet(sequence: int, ssrc: int = 7, payload: bytes = b"\x55" * 160) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, sequence * 160, ssrc) + payload


@pytest.fixture
def peers():
    with contextlib.ExitStack() as stack:
        pair = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        for one in pair:
            one.bind((HERE, 0))
            one.setblocking(False)
        yield pair


async def media(peer: socket.socket) -> bytes:
    """The next RTP packet; RTCP (RFC 5761 section 4) is passed over."""
    while True:
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 2048), PATIENCE)
        if not 192 <= data[1] <= 223:
            return data


async def ended(pid: int) -> None:
    """Waits for the end of a process, whoever its parent is."""
    loop, done, fd = asyncio.get_running_loop(), asyncio.Event(), os.pidfd_open(pid)
    loop.add_reader(fd, done.set)
    try:
        await asyncio.wait_for(done.wait(), PATIENCE)
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def remote(peer: socket.socket) -> LegRemote:
    return LegRemote((PCMU,), HERE, peer.getsockname()[1])


async def test_packets_cross_a_bridge_both_ways(host, peers):
    opened = await host.engine.open_call((phone(), phone()))
    ends = [leg.candidates[0] for leg in opened.legs]
    for leg, peer in zip(opened.legs, peers, strict=True):
        await host.engine.complete(leg.leg, remote(peer))
    await host.engine.bridge(opened.legs[0].leg, opened.legs[1].leg)
    for sender, end, receiver, leg, mark in (
        (peers[0], ends[0], peers[1], opened.legs[1], b"a" * 160),
        (peers[1], ends[1], peers[0], opened.legs[0], b"b" * 160),
    ):
        got = []
        for sequence in range(10):
            sender.sendto(packet(sequence, payload=mark), end)
            got.append(await media(receiver))
        assert [data[12:] for data in got] == [mark] * 10
        assert {struct.unpack("!I", data[8:12])[0] for data in got} == {leg.ssrc}
        sequences = [struct.unpack("!H", data[2:4])[0] for data in got]
        assert [(s - sequences[0]) & 0xFFFF for s in sequences] == list(range(10))
    await host.until(lambda: {event.leg for event in host.of(m.FirstMedia)} == {leg.leg for leg in opened.legs})
    facts = await host.engine.facts(opened.legs[0].leg)
    assert (facts.quality.packets_in, facts.codec_in, facts.verdict_in) == (10, "PCMU", "")
    closed = await host.engine.close_call(opened.call)
    assert sorted(leg.leg for leg in closed) == sorted(leg.leg for leg in opened.legs)
    assert await host.engine.legs() == ()


async def test_tasks_reach_the_engine_in_the_order_they_were_made(host):
    opened = await host.engine.open_call((phone(),))
    leg = opened.legs[0].leg
    closing = asyncio.create_task(host.engine.close_call(opened.call))
    late = asyncio.create_task(host.engine.facts(leg))
    assert [facts.leg for facts in await closing] == [leg]
    with pytest.raises(MediaError) as refusal:
        await late
    assert refusal.value.code == "unknown_leg"


async def test_control_socket_is_the_owners_only(host):
    assert stat.S_IMODE(host.options.control.stat().st_mode) == 0o600


async def test_kill_is_noticed_and_another_engine_started(host):
    first = host.engine.pid
    waiting = asyncio.create_task(host.engine.legs())
    await waiting
    os.kill(first, signal.SIGKILL)
    hanging = asyncio.create_task(host.engine.legs())
    await host.until(lambda: host.readies)
    assert host.losses[0] <= host.readies[0]
    assert host.engine.pid != first
    with contextlib.suppress(MediaError):
        await hanging
    assert await host.engine.legs() == ()
    assert len(host.losses) == len(host.readies) == 1


async def test_futures_of_a_dead_engine_fail(host):
    engine = host.engine
    os.kill(engine.pid, signal.SIGSTOP)
    hanging = asyncio.create_task(engine.legs())
    await asyncio.sleep(0)
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(MediaError) as lost:
        await asyncio.wait_for(hanging, PATIENCE)
    assert lost.value.code == "engine_lost"
    assert not engine.connected
    with pytest.raises(MediaError):
        await engine.legs()


async def test_stop_ends_the_engine_and_takes_its_socket_away(host):
    pid = host.engine.pid
    await host.process.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not host.options.control.exists()
    assert not host.losses


async def test_sigterm_ends_the_engine_cleanly(host, binary):
    control = host.options.control.with_name("other.sock")
    engine = await asyncio.create_subprocess_exec(
        binary, "--control", control, "--webrtc-port", "0", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while not control.exists():
        await asyncio.sleep(0.01)
    engine.send_signal(signal.SIGTERM)
    said, _ = await asyncio.wait_for(engine.communicate(), PATIENCE)
    assert (engine.returncode, said) == (0, b"")
    assert not control.exists()


async def abandon(host) -> None:
    """What the end of this program does to the engine."""
    host.process._watching.cancel()
    host.engine._client.close()
    await asyncio.wait_for(host.process._gone.wait(), PATIENCE)


async def test_legs_outlive_the_control_connection_and_are_listed(hosts, peers):
    first = await hosts()
    opened = await first.engine.open_call((phone(), phone()))
    for leg, peer in zip(opened.legs, peers, strict=True):
        await first.engine.complete(leg.leg, remote(peer))
    await first.engine.bridge(opened.legs[0].leg, opened.legs[1].leg)
    await abandon(first)
    peers[0].sendto(packet(1), opened.legs[0].candidates[0])
    assert (await media(peers[1]))[12:] == b"\x55" * 160
    second = await hosts()
    assert second.engine.pid == first.engine.pid
    listed = await second.engine.legs()
    assert {(call, leg) for call, leg, *_ in listed} == {(opened.call, leg.leg) for leg in opened.legs}
    await second.engine.close_call(opened.call)


async def test_legs_that_nobody_names_after_a_takeover_are_closed(hosts):
    first = await hosts(grace=3)
    forgotten, kept = [await first.engine.open_call((phone(),)) for _ in range(2)]
    await abandon(first)
    second = await hosts(grace=3)
    await second.engine.facts(kept.legs[0].leg)
    await second.until(lambda: any("nobody came back" in line.text for line in second.of(m.LogLine)))
    assert [call for call, *_ in await second.engine.legs()] == [kept.call]
    assert forgotten.call != kept.call


async def test_grace_ends_the_engine(hosts):
    host = await hosts(grace=1)
    await host.engine.open_call((phone(),))
    await abandon(host)
    await ended(host.engine.pid)
    assert not host.options.control.exists()


async def test_a_second_commander_is_refused_and_the_first_undisturbed(hosts):
    first = await hosts()
    with pytest.raises(RuntimeError, match="another connection commands"):
        await hosts()
    assert await first.engine.legs() == ()


async def test_ports_exhausted_is_said_by_name(hosts):
    host = await hosts(rtp_ports=range_of(4))
    await host.engine.open_call((phone(), phone()))
    with pytest.raises(MediaError) as refusal:
        await host.engine.open_call((phone(),))
    assert refusal.value.code == "ports_exhausted"


async def test_pairs_are_even_and_odd_and_taken_back_when_a_call_is_refused(hosts):
    host = await hosts(rtp_ports=range_of(4))
    opened = await host.engine.open_call((phone(mux=False), phone(mux=False)))
    for leg in opened.legs:
        assert leg.candidates[0][1] % 2 == 0
        assert leg.rtcp_port == leg.candidates[0][1] + 1


async def test_a_bad_address_is_refused_and_costs_no_ports(hosts):
    host = await hosts(rtp_ports=range_of(4))
    for address in ("192.0.2.1", "no address"):
        with pytest.raises(MediaError) as refusal:
            await host.engine.open_call((phone(address),))
        assert refusal.value.code == "bad_address"
    assert len((await host.engine.open_call((phone(), phone()))).legs) == 2


async def test_unknown_ids_are_refused_by_name(host):
    for leg in (1, 0xFF << 56 | 1):
        with pytest.raises(MediaError) as refusal:
            await host.engine.facts(leg)
        assert refusal.value.code == "unknown_leg"
    with pytest.raises(MediaError) as refusal:
        await host.engine.open_leg(9, phone())
    assert refusal.value.code == "unknown_call"
    assert await host.engine.close_call(9) == ()


class Dance(m.Message, frozen=True):
    n: int


async def test_an_unknown_command_is_refused_by_name(host):
    with pytest.raises(MediaError) as refusal:
        await host.engine._client.call(Dance)
    assert refusal.value.code == "unknown_command"
    assert "Dance" in refusal.value.text


async def test_many_commands_in_flight_get_their_own_answers(host):
    opened = await asyncio.gather(*(host.engine.open_call((phone(),)) for _ in range(40)))
    assert len({call.call for call in opened}) == 40
    await asyncio.gather(*(host.engine.close_call(call.call) for call in opened))
    assert await host.engine.legs() == ()


async def test_a_taken_port_is_a_sentence(hosts):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
        theirs.bind(("0.0.0.0", 0))
        port = theirs.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"UDP port {port} for browsers.*media.port"):
            await hosts(webrtc_port=port)


async def test_an_other_protocol_is_hung_up_on_with_a_reason(hosts):
    host = await hosts()
    await abandon(host)
    reader, writer = await asyncio.open_unix_connection(str(host.options.control))
    body = msgspec.msgpack.encode(m.Hello(m.PROTOCOL_VERSION + 1))
    writer.write(len(body).to_bytes(4, "big") + body)
    data = await asyncio.wait_for(reader.read(), PATIENCE)
    first = int.from_bytes(data[:4], "big")
    refusal = msgspec.msgpack.decode(data[8 + first :], type=m.Refused)
    assert f"protocol {m.PROTOCOL_VERSION + 1} is not spoken here" in refusal.text
    writer.close()
    os.kill(host.engine.pid, signal.SIGTERM)
    await ended(host.engine.pid)


async def test_a_frame_too_large_ends_the_connection():
    lost = asyncio.Event()
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    _, client = await loop.create_unix_connection(lambda: MediaClient(lambda event: None, lost.set), sock=ours)
    theirs.sendall((m.MAX_FRAME + 1).to_bytes(4, "big"))
    await asyncio.wait_for(lost.wait(), PATIENCE)
    assert not client.connected
    theirs.close()


async def test_an_engine_that_does_not_start_again_is_said_and_tried_until_it_does(host, binary, monkeypatch):
    monkeypatch.setenv("OFFHOOK_MEDIA_BINARY", "/bin/false")
    os.kill(host.engine.pid, signal.SIGKILL)
    await host.until(lambda: any("does not start again" in line.text for line in host.of(m.LogLine)))
    assert not host.readies
    monkeypatch.setenv("OFFHOOK_MEDIA_BINARY", str(binary))
    await host.until(lambda: host.readies)
    assert await host.engine.legs() == ()
    assert len(host.losses) == 1


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("directory", "engine, which OFFHOOK_MEDIA_BINARY names, is no file"),
        ("plain", "engine is no program: `chmod \\+x"),
        ("text", "engine cannot be run .Exec format error.; .*OFFHOOK_MEDIA_BINARY"),
        ("silent", "engine ended with code 0 and said nothing: .*OFFHOOK_MEDIA_BINARY"),
    ],
)
async def test_what_is_no_engine_is_named_with_what_mends_it(tmp_path, monkeypatch, made, words):
    binary = tmp_path / "engine"
    if made == "directory":
        binary.mkdir()
    else:
        binary.write_text("#!/bin/sh\n" if made == "silent" else "no program\n")
        binary.chmod(0o600 if made == "plain" else 0o700)
    monkeypatch.setenv("OFFHOOK_MEDIA_BINARY", str(binary))
    options = MediaOptions(tmp_path / "control")
    engine = MediaProcess(options, lambda event: None, lambda: None, lambda: None)
    with pytest.raises((OSError, RuntimeError), match=words):
        await engine.start()
    await engine.stop()


def test_switches_are_given_where_they_are_on():
    plain = MediaOptions(Path("control"), offer_loopback=False)
    assert replace(plain, offer_loopback=True).arguments() == [*plain.arguments(), "--offer-loopback"]
    assert replace(plain, single_port=True).arguments() == [*plain.arguments(), "--single-port"]
    assert replace(plain, pin=True).arguments() == [*plain.arguments(), "--pin"]
    assert replace(plain, sha_1_fingerprints=True).arguments() == [*plain.arguments(), "--sha-1-fingerprints"]


STARTER = """
import asyncio, sys
from pathlib import Path
from offhook.media.process import MediaOptions, MediaProcess

async def main():
    options = MediaOptions(Path(sys.argv[1]), webrtc_port=0, rtp_ports=(int(sys.argv[2]), int(sys.argv[2]) + 99), grace=60)
    process = MediaProcess(options, lambda event: None, lambda: None, lambda: None)
    await process.start()
    print(process.engine.pid)

asyncio.run(main())
"""


async def test_the_engine_outlives_the_program_that_started_it(hosts, binary, tmp_path):
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, tmp_path / "media.sock", str(range_of(100)[0]), stdout=subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(starter.communicate(), PATIENCE)
    host = await hosts()
    assert host.engine.pid == int(said)
    await host.process.stop()
    assert not host.options.control.exists()


async def test_calls_are_spread_over_shards_and_ids_name_theirs(hosts):
    host = await hosts(shards=2)
    assert len(set(host.engine.webrtc_ports)) == 2
    opened = []
    for _ in range(4):
        opened.append(await host.engine.open_call((phone(),)))
        # Load is told behind the answer: a second round trip through the shard is after it.
        await host.engine.facts(opened[-1].legs[0].leg)
    assert {call.call >> 56 for call in opened} == {0, 1}
    assert all(call.call >> 56 == call.legs[0].leg >> 56 for call in opened)
    assert len(await host.engine.legs()) == 4


def processors(status: Path) -> set[int]:
    """Those that a thread may run on."""
    listed = next(line for line in status.read_text().splitlines() if line.startswith("Cpus_allowed_list:"))
    ranges = [one.split("-") for one in listed.partition(":")[2].strip().split(",")]
    return {number for one in ranges for number in range(int(one[0]), int(one[-1]) + 1)}


async def test_pinned_shards_have_a_processor_each_and_nobody_else_is_bound(hosts):
    allowed = os.sched_getaffinity(0)
    shards = min(2, len(allowed))
    host = await hosts(shards=shards, pin=True)
    threads = list(Path(f"/proc/{host.engine.pid}/task").iterdir())
    bound = {(one / "comm").read_text().strip(): processors(one / "status") for one in threads}
    # 1. one processor for each shard, the last ones
    expected = {f"shard {number}": {one} for number, one in enumerate(sorted(allowed)[-shards:])}
    assert {name: bound.pop(name) for name in expected} == expected
    # 2. the others run anywhere
    assert bound
    assert all(one == allowed for one in bound.values())
    # 3. and so do shards that nobody pins
    await host.process.stop()
    free = await hosts(shards=shards)
    threads = list(Path(f"/proc/{free.engine.pid}/task").iterdir())
    assert all(processors(one / "status") == allowed for one in threads)


async def test_more_shards_than_processors_cannot_be_pinned_which_is_a_sentence(hosts):
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with pytest.raises(RuntimeError, match=r"2 shards cannot be pinned to 1 processors; lower media\.shards"):
            await hosts(shards=2, pin=True)
    finally:
        os.sched_setaffinity(0, allowed)


async def two_shards(host) -> tuple[list[m.CallOpened], list[m.LegLocal]]:
    """A call of one leg on each shard."""
    opened = []
    for _ in range(2):
        opened.append(await host.engine.open_call((phone(),)))
        await host.engine.facts(opened[-1].legs[0].leg)
    assert {call.call >> 56 for call in opened} == {0, 1}
    return opened, [call.legs[0] for call in opened]


async def test_legs_of_two_shards_are_bridged_and_let_go(hosts, peers):
    """MEDIA.md section 3: calls on different shards that meet are joined by a link."""
    host = await hosts(shards=2)
    calls, legs = await two_shards(host)
    for leg, peer in zip(legs, peers, strict=True):
        await host.engine.complete(leg.leg, remote(peer))
    await host.engine.bridge(legs[0].leg, legs[1].leg)
    for sender, leg, receiver, mark in (
        (peers[0], legs[0], peers[1], b"a" * 160),
        (peers[1], legs[1], peers[0], b"b" * 160),
    ):
        for sequence in range(10):
            sender.sendto(packet(sequence, payload=mark), leg.candidates[0])
            assert (await media(receiver))[12:] == mark
    facts = [await host.engine.facts(leg.leg) for leg in legs]
    assert [one.evidence["link_dropped"] for one in facts] == ["0", "0"]
    assert [one.source for one in facts] == [f"leg:{legs[1].leg:#x}", f"leg:{legs[0].leg:#x}"]
    # 1. a leg that is gone refuses the bridge, whichever side it is on, and the other hears nothing any more
    await host.engine.close_call(calls[1].call)
    with pytest.raises(MediaError, match="there is no leg"):
        await host.engine.bridge(legs[0].leg, legs[1].leg)
    while (await host.engine.facts(legs[0].leg)).source != "none":
        await asyncio.sleep(0.02)  # its shard hears of it behind the answer
    # 2. nor is there a shard for any number
    with pytest.raises(MediaError, match="no shard"):
        await host.engine.bridge(legs[0].leg, 9 << 56 | 1)
    with pytest.raises(MediaError, match="no shard"):
        await host.engine.join(legs[0].leg, 9 << 56 | 1)


async def test_rule_9_6_legs_of_two_shards_cannot_be_pointed_at_each_other(hosts, peers):
    """MEDIA.md section 9: no description names a port of ours; sound would go round in circles."""
    host = await hosts(shards=2)
    calls, legs = await two_shards(host)
    for leg, other in (legs, legs[::-1]):
        with pytest.raises(MediaError) as refusal:
            await host.engine.complete(leg.leg, LegRemote((PCMU,), *other.candidates[0]))
        assert refusal.value.code == "bad_address"
        assert "is a port of this engine" in str(refusal.value)
        # 1. reports make no circles: a phone on this machine may have got the port below one of ours
        await host.engine.complete(leg.leg, replace(remote(peers[0]), rtcp_port=other.candidates[0][1]))
    # 2. what is not ours any more is anybody's
    await host.engine.close_call(calls[1].call)
    while True:
        try:
            await host.engine.complete(legs[0].leg, LegRemote((PCMU,), *legs[1].candidates[0]))
            break
        except MediaError:
            await asyncio.sleep(0.02)  # its shard gives the port back behind the answer


async def test_phones_of_both_ip_versions_hear_each_other(host, peers):
    """A phone of each IP version that this machine has, and one of IPv4."""
    for version in loopbacks():
        family = socket.AF_INET6 if ":" in version else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as other:
            other.bind((version, 0))
            other.setblocking(False)
            opened = await host.engine.open_call((phone(version, mux=False), phone()))
            far, near = opened.legs
            assert far.candidates[0][0] == version
            await host.engine.complete(far.leg, LegRemote((PCMU,), version, other.getsockname()[1]))
            await host.engine.complete(near.leg, remote(peers[0]))
            await host.engine.bridge(far.leg, near.leg)
            for sender, leg, receiver, mark in (
                (other, far, peers[0], b"6" * 160),
                (peers[0], near, other, b"4" * 160),
            ):
                for sequence in range(5):
                    sender.sendto(packet(sequence, payload=mark), leg.candidates[0])
                    assert (await media(receiver))[12:] == mark
            facts = await host.engine.facts(far.leg)
            assert (facts.path_state, facts.verdict_in, facts.quality.packets_in) == ("latched", "", 5)
            await host.engine.close_call(opened.call)


async def test_a_member_of_a_room_may_be_on_another_shard(hosts, peers):
    host = await hosts(shards=2)
    calls, legs = await two_shards(host)
    for leg, peer in zip(legs, peers, strict=True):
        await host.engine.complete(leg.leg, remote(peer))
        await host.engine.join(leg.leg, calls[0].call)
    assert [(await host.engine.facts(leg.leg)).source for leg in legs] == [f"room:{calls[0].call:#x}"] * 2
    loud, silent = b"\x00\x80" * 80, b"\xff" * 160
    for speaker, listener in ((0, 1), (1, 0)):
        heard: list[bytes] = []
        for sequence in range(500):
            peers[speaker].sendto(packet(sequence + 1_000 * speaker, payload=loud), legs[speaker].candidates[0])
            heard.append((await media(peers[listener]))[12:])
            if heard[-1] != silent and len(set(heard[-1])) > 1:
                break
        else:
            raise AssertionError("only silence is heard")
    await host.engine.stop(legs[1].leg)
    assert (await host.engine.facts(legs[1].leg)).source == "none"


async def test_a_phone_that_is_gone_is_the_reason_of_silence(host, peers):
    opened = await host.engine.open_call((phone(), phone()))
    for leg, peer in zip(opened.legs, peers, strict=True):
        await host.engine.complete(leg.leg, remote(peer))
    await host.engine.bridge(opened.legs[0].leg, opened.legs[1].leg)
    peers[1].close()
    for sequence in range(int(PATIENCE / 0.02)):
        peers[0].sendto(packet(sequence), opened.legs[0].candidates[0])
        facts = await host.engine.facts(opened.legs[1].leg)
        if facts.verdict_out:
            break
        await asyncio.sleep(0.02)
    assert facts.verdict_out == "unreachable", facts
