"""TRK-6: names to addresses by RFC 3263 and 6157, against a real DNS server on loopback."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from offhook.sip.address_policy import OPEN, AddressPolicy
from offhook.sip.flow import Transport
from offhook.sip.hop import Hop, Target
from offhook.transport.records import LookUpFailed, Records, RecordSettings
from offhook.transport.resolver import Resolver, ResolverSettings
from tests.support.dns_server import DnsServer

ZONE = (
    'full.test. 60 IN NAPTR 20 1 "s" "SIP+D2U" "" _sip._udp.full.test.',
    'full.test. 60 IN NAPTR 10 2 "s" "SIP+D2T" "" _sip._tcp.full.test.',
    'full.test. 60 IN NAPTR 10 1 "s" "SIPS+D2T" "" _sips._tcp.full.test.',
    'full.test. 60 IN NAPTR 5 1 "s" "SIP+D2W" "" _ws.full.test.',
    'full.test. 60 IN NAPTR 5 1 "u" "E2U+sip" "!^.*$!sip:x@y!" .',
    "_sips._tcp.full.test. 60 IN SRV 0 0 5071 a.full.test.",
    "_sip._tcp.full.test. 60 IN SRV 0 0 5070 a.full.test.",
    "_sip._udp.full.test. 60 IN SRV 20 0 5072 b.full.test.",
    "_sip._udp.full.test. 60 IN SRV 10 0 5070 a.full.test.",
    "a.full.test. 60 IN A 192.0.2.1",
    "a.full.test. 60 IN AAAA 2001:db8::1",
    "b.full.test. 60 IN A 192.0.2.2",
    "srv.test. 60 IN A 192.0.2.99",
    "_sip._tcp.srv.test. 60 IN SRV 0 0 5070 a.full.test.",
    "plain.test. 60 IN A 192.0.2.3",
    "alias.test. 60 IN CNAME plain.test.",
    "_sip._udp.closed.test. 60 IN SRV 0 0 0 .",
    "closed.test. 60 IN A 192.0.2.4",
    "short.test. 1 IN A 192.0.2.5",
    "long.test. 86400 IN A 192.0.2.6",
    "loop.test. 60 IN A 127.0.0.1",
    "loop.test. 60 IN A 198.51.100.7",
)


class Bench:
    """A resolver with a clock that runs and can be pushed."""

    def __init__(self, server: DnsServer) -> None:
        self.server, self.pushed, self.families = server, 0.0, (6, 4)
        self.draws = random.Random(1)

    def clock(self) -> float:
        return asyncio.get_running_loop().time() + self.pushed

    def resolver(self, policy: AddressPolicy = OPEN, hosts: Path | None = None, lookup: float = 2.0) -> Resolver:
        settings = RecordSettings(servers=(self.server.address,), lookup=lookup, again=lookup / 4, hosts=hosts)
        records = Records(settings, self.clock)
        limits = ResolverSettings(lookup=lookup, naptr=lookup * 0.4)
        return Resolver(records, policy, self.draws.uniform, self.clock, lambda: self.families, limits)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with DnsServer(*ZONE) as server:
        yield Bench(server)


def shown(hops: tuple[Hop, ...]) -> list[str]:
    return [str(hop) for hop in hops]


async def test_naptr_chooses_the_transport_and_srv_the_port(bench: Bench) -> None:
    resolver = bench.resolver()
    # 1. The lowest order, then preference, of the services we speak; RFC 6157: both families of the host behind it.
    assert shown(await resolver.locate(Target("full.test"))) == ["[2001:db8::1]:5071/tls", "192.0.2.1:5071/tls"]
    # 2. What TLS must prove is the name of the settings, else the name asked for, never what DNS returned.
    assert {hop.certificate_name for hop in await resolver.locate(Target("full.test"))} == {"full.test"}
    named = await resolver.locate(Target("full.test", certificate_name="carrier.example"))
    assert {hop.certificate_name for hop in named} == {"carrier.example"}
    # 3. A transport that was given asks its SRV at once; priorities in order.
    assert shown(await resolver.locate(Target("full.test", transport=Transport.UDP)))[-1] == "192.0.2.2:5072/udp"
    # 4. A secure target goes by TLS whatever else there is.
    secure = await resolver.locate(Target("full.test", transport=Transport.UDP, secure=True))
    assert shown(secure) == ["[2001:db8::1]:5071/tls", "192.0.2.1:5071/tls"]


async def test_without_naptr_the_first_transport_with_srv_counts_and_without_srv_the_address(bench: Bench) -> None:
    resolver = bench.resolver()
    assert shown(await resolver.locate(Target("srv.test"))) == ["[2001:db8::1]:5070/tcp", "192.0.2.1:5070/tcp"]
    assert shown(await resolver.locate(Target("plain.test"))) == ["192.0.2.3:5060/udp"]
    assert shown(await resolver.locate(Target("plain.test", secure=True))) == ["192.0.2.3:5061/tls"]
    assert shown(await resolver.locate(Target("alias.test", transport=Transport.TCP))) == ["192.0.2.3:5060/tcp"]


async def test_a_port_or_an_address_asks_neither_naptr_nor_srv(bench: Bench) -> None:
    resolver = bench.resolver()
    assert shown(await resolver.locate(Target("srv.test", 5099))) == ["192.0.2.99:5099/udp"]
    assert {kind for _, kind in bench.server.asked} == {"A", "AAAA"}
    bench.server.asked.clear()
    assert shown(await resolver.locate(Target("192.0.2.7"))) == ["192.0.2.7:5060/udp"]
    assert shown(await resolver.locate(Target("2001:db8::7", secure=True))) == ["[2001:db8::7]:5061/tls"]
    assert shown(await resolver.locate(Target("192.0.2.7", 5080, Transport.TCP))) == ["192.0.2.7:5080/tcp"]
    assert bench.server.asked == []


async def test_a_websocket_peer_is_never_looked_up(bench: Bench) -> None:
    with pytest.raises(LookUpFailed, match="own connection"):
        await bench.resolver().locate(Target("x.invalid", transport=Transport.WSS))
    assert bench.server.asked == []


async def test_srv_weights_share_the_calls(bench: Bench) -> None:
    bench.server.zone(
        "_sip._udp.w.test. 60 IN SRV 1 30 5060 one.test.",
        "_sip._udp.w.test. 60 IN SRV 1 10 5060 two.test.",
        "_sip._udp.w.test. 60 IN SRV 1 0 5060 three.test.",
        "_sip._udp.w.test. 60 IN SRV 0 5 5060 first.test.",
        *(f"{name}.test. 60 IN A 192.0.2.{number}" for number, name in enumerate(("first", "one", "two", "three"), 1)),
    )
    resolver, target = bench.resolver(), Target("w.test", transport=Transport.UDP)
    drawn = [[hop.address[-1] for hop in await resolver.locate(target)] for _ in range(400)]
    assert {order[0] for order in drawn} == {"1"}, "the lowest priority comes first always"
    second = Counter(order[1] for order in drawn)
    assert 250 < second["2"] < 350, "30 of 40"
    assert 50 < second["3"] < 150, "10 of 40"
    assert second["4"] <= 4, "weight 0 hardly ever before the others"
    assert all(sorted(order) == ["1", "2", "3", "4"] for order in drawn), "every address is there to fail over to"


async def test_a_service_that_dns_denies(bench: Bench) -> None:
    with pytest.raises(LookUpFailed, match="takes no calls"):
        await bench.resolver().locate(Target("closed.test"))


async def test_answers_live_as_long_as_they_say_between_five_seconds_and_five_minutes(bench: Bench) -> None:
    resolver = bench.resolver()

    async def questions(host: str, later: float) -> int:
        bench.pushed += later
        bench.server.asked.clear()
        await resolver.locate(Target(host, 5060))
        return len(bench.server.asked)

    # 1. One second counts as five, a day as five minutes; nothing is asked twice before.
    assert await questions("short.test", 0) == 2
    assert await questions("short.test", 4) == 0
    assert await questions("long.test", 0) == 2
    assert await questions("long.test", 20) == 0
    # 2. That there is no AAAA is remembered as long as the SOA says (30 s).
    assert await questions("short.test", 0) == 1
    # 3. After five minutes the day is over.
    assert await questions("long.test", 290) == 2


async def test_questions_asked_at_the_same_time_are_one(bench: Bench) -> None:
    bench.server.delay = 0.05
    resolver = bench.resolver()
    found = await asyncio.gather(*(resolver.locate(Target("plain.test", 5060)) for _ in range(20)))
    assert len(set(found)) == 1
    assert sorted(bench.server.asked) == [("plain.test", "A"), ("plain.test", "AAAA")]


async def test_a_name_that_is_not_there_and_dns_that_is_not_there(bench: Bench) -> None:
    resolver = bench.resolver(lookup=20.0)
    with pytest.raises(LookUpFailed, match=r"nowhere\.test has no address in DNS"):
        await resolver.locate(Target("nowhere.test"))
    # 1. A failing server is a sentence.
    bench.server.failing = {"broken.test"}
    with pytest.raises(LookUpFailed, match=r"broken\.test"):
        await resolver.locate(Target("broken.test", 5060))
    # 2. A silent one costs no more than the whole look-up may take; many steps share the one limit.
    bench.server.silent = {"NAPTR", "SRV", "A", "AAAA"}
    hasty = bench.resolver(lookup=1.0)
    async with asyncio.timeout(4):
        with pytest.raises(LookUpFailed, match="did not answer in time"):
            await hasty.locate(Target("full.test"))


async def test_an_old_answer_is_better_than_none(bench: Bench) -> None:
    resolver = bench.resolver(lookup=5.0)
    fresh = await resolver.locate(Target("plain.test", 5060))
    bench.server.failing = {"plain.test"}
    bench.pushed += 600
    assert await resolver.locate(Target("plain.test", 5060)) == fresh
    bench.pushed += 3600
    with pytest.raises(LookUpFailed):
        await resolver.locate(Target("plain.test", 5060))


async def test_a_resolver_without_naptr_is_no_name_without_service(bench: Bench) -> None:
    bench.server.silent = {"NAPTR"}
    assert shown(await bench.resolver().locate(Target("srv.test")))[0] == "[2001:db8::1]:5070/tcp"


async def test_only_ip_versions_that_we_listen_on(bench: Bench) -> None:
    resolver = bench.resolver()
    bench.families = (4,)
    assert shown(await resolver.locate(Target("a.full.test", 5060))) == ["192.0.2.1:5060/udp"]
    with pytest.raises(LookUpFailed, match="IP version"):
        await resolver.locate(Target("2001:db8::7"))


async def test_a_failed_address_is_tried_last_for_thirty_seconds_then_twice_as_long(bench: Bench) -> None:
    resolver, target = bench.resolver(), Target("full.test", transport=Transport.UDP)
    bench.families = (4,)
    first, second = await resolver.locate(target)
    now = bench.clock
    resolver.aside.failed(first, now())
    assert await resolver.locate(target) == (second, first)
    # 1. Several calls that failed on it at once count once.
    resolver.aside.failed(first, now())
    bench.pushed += 31
    assert await resolver.locate(target) == (first, second)
    # 2. Doubled at each failure, up to five minutes.
    for wait in (60, 120, 240, 300, 300):
        resolver.aside.failed(first, now())
        bench.pushed += wait - 1
        assert resolver.aside.holds(first, now()), wait
        bench.pushed += 2
        assert not resolver.aside.holds(first, now()), wait
    # 3. One success clears it.
    resolver.aside.failed(first, now())
    resolver.aside.worked(first)
    assert not resolver.aside.holds(first, now())
    resolver.aside.failed(first, now())
    bench.pushed += 31
    assert not resolver.aside.holds(first, now())


async def test_a_foreign_target_prefers_tls_and_is_held_to_the_policy(bench: Bench) -> None:
    bench.families = (4,)
    strict = bench.resolver(AddressPolicy())
    # 1. TRK-13: TLS first, whatever the order of NAPTR; the others behind it, because strangers' TLS may well not work.
    bench.server.zone(*ZONE, "a.full.test. 60 IN A 198.41.0.4", "b.full.test. 60 IN A 198.41.0.5")
    hops = shown(await strict.locate(Target("full.test", foreign=True)))
    assert hops == ["198.41.0.4:5071/tls", "198.41.0.4:5070/tcp", "198.41.0.4:5070/udp", "198.41.0.5:5072/udp"]
    # 2. Every address that DNS returned is judged; a private one is no target, and the sentence says so.
    bench.server.zone("loop.test. 60 IN A 127.0.0.1", "both.test. 60 IN A 10.0.0.1", "both.test. 60 IN A 198.41.0.4")
    with pytest.raises(LookUpFailed, match=r"127\.0\.0\.1 is a private address"):
        await strict.locate(Target("loop.test", 5060, foreign=True))
    assert shown(await strict.locate(Target("both.test", 5060, foreign=True))) == ["198.41.0.4:5060/udp"]
    # 3. What the operator named may be private.
    assert shown(await strict.locate(Target("loop.test", 5060))) == ["127.0.0.1:5060/udp"]


async def test_the_hosts_file_comes_before_dns(bench: Bench, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.50  pbx.test pbx # the one in the cellar\n2001:db8::50 pbx.test\n")
    resolver = bench.resolver(hosts=hosts)
    assert shown(await resolver.locate(Target("PBX.test", 5060))) == ["[2001:db8::50]:5060/udp", "192.0.2.50:5060/udp"]
    # A change is seen without a restart.
    hosts.write_text("192.0.2.51 pbx.test\n")
    os.utime(hosts, (1, 1))
    assert shown(await resolver.locate(Target("pbx.test", 5060))) == ["192.0.2.51:5060/udp"]
