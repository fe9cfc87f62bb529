"""A real DNS server on loopback: zone lines in, answers out; it counts questions, can be slow, silent or failing.

async with DnsServer("example.com. 30 IN A 127.0.0.1") as dns:
    dns.address        # "127.0.0.1:PORT"
    dns.asked          # [("example.com", "A"), ...]
"""

import asyncio
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class DnsServer(asyncio.DatagramProtocol):
    """Authoritative for everything; what is not in the zone does not exist."""

    def __init__(self, *zone: str) -> None:
        self.asked: list[tuple[str, str]] = []
        self.silent: set[str] = set()
        self.failing: set[str] = set()
        self.delay = 0.0
        self.negative_ttl = 30
        self.zone(*zone)

    def zone(self, *lines: str) -> None:
        """Replaces all records. A line is `name ttl IN type data`."""
        self._sets: dict[tuple[str, str], Any] = {}
        for line in lines:
            name, ttl, _, kind, data = line.split(maxsplit=4)
            key = (name.rstrip(".").lower(), kind)
            one = dns.rrset.from_text(name, int(ttl), "IN", kind, data)
            if key in self._sets:
                self._sets[key].union_update(one)
            else:
                self._sets[key] = one

    async def __aenter__(self) -> "DnsServer":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.address = "127.0.0.1:{}".format(self._transport.get_extra_info("sockname")[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if kind in self.silent or name in self.silent:
            return
        answer = self._answer(query, name, kind).to_wire()
        asyncio.get_running_loop().call_later(self.delay, self._transport.sendto, answer, addr)

    def _answer(self, query: dns.message.Message, name: str, kind: str) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        if kind in self.failing or name in self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer
        alias = self._sets.get((name, "CNAME"))
        if alias is not None:
            answer.answer.append(alias)
            name = alias[0].target.to_text(omit_final_dot=True).lower()
        found = self._sets.get((name, kind))
        if found is not None:
            answer.answer.append(found)
            return answer
        answer.authority.append(
            dns.rrset.from_text(".", self.negative_ttl, "IN", "SOA", f"ns. admin. 1 2 3 4 {self.negative_ttl}")
        )
        if not any(one == name for one, _ in self._sets):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer
