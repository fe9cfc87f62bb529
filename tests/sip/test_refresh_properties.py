"""A refresh in the words of the last one is served by its text (sip/refresh.py) exactly as it would be the whole way.

For any sequence of REGISTERs, flows, accounts, settings and times, both ways send, tell, write, draw and keep the same.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from offhook.sip.commands import MarkFlow, RefuseNew, Unbind
from offhook.sip.config import RegistrarLimits, SipConfig
from offhook.sip.digest import Credentials, ha1, response_of
from offhook.sip.fields import parse_auth
from offhook.sip.flow import Flow, FlowId, Reachability, Transport
from offhook.sip.refresh import read
from tests.support.nodes import DOMAIN, make_account
from tests.support.twins import ALIAS, OTHER, Twin

LIMITS = RegistrarLimits(contacts_per_aor=3, rate_per_aor=2.0, storm=5.0, rate_per_source=50.0, burst_per_source=50.0)
FLOWS = [
    Flow(FlowId("wss-1"), Transport.WSS, ("192.0.2.1", 40001), ("127.0.0.1", 8443), "127.0.0.1:8443", True, False),
    Flow(FlowId("wss-2"), Transport.WSS, ("192.0.2.1", 40002), ("127.0.0.1", 8443), "127.0.0.1:8443", True, False),
    Flow(FlowId("ws-3"), Transport.WS, ("127.0.0.1", 40003), ("127.0.0.1", 8080), "127.0.0.1:8080", False, True),
    Flow(FlowId("tcp-4"), Transport.TCP, ("192.0.2.9", 40004), ("127.0.0.1", 5060), "127.0.0.1:5060", False, False),
]


@dataclass
class Page:
    """What one client says; every field may change from one REGISTER to the next."""

    flow: Flow
    user: str = "bob"
    domain: str = DOMAIN
    host: str = DOMAIN
    via: str = "p1.invalid"
    rport: str = ""
    tag: str = "t1"
    call_id: str = "call-1"
    cseq: int = 0
    contact: str = "<sip:c1@p1.invalid;transport=ws>"
    params: str = ';+sip.instance="<urn:uuid:a>";reg-id=1'
    expires: str = "600"
    supported: str = "path, gruu, outbound"
    extra: str = ""
    names: dict[str, str] = field(default_factory=dict)
    spoken: bool = True
    """Whether credentials are sent unasked."""
    password: str = "zanzibar"
    nonce: str = ""
    count: int = 0

    def text(self, branch: str) -> bytes:
        proof = f"Authorization: {self._proof()}\r\n" if self.spoken and self.nonce else ""
        call_id, to = self.names.get("Call-ID", "Call-ID"), self.names.get("To", "To")
        lines = (
            f"REGISTER sip:{self.host} SIP/2.0\r\nVia: SIP/2.0/WSS {self.via};branch=z9hG4bK{branch}{self.rport}\r\n"
            f"Max-Forwards: 69\r\n{to}: <sip:{self.user}@{self.domain}>\r\n"
            f"From: <sip:{self.user}@{self.domain}>;tag={self.tag}\r\n"
            f"{call_id}: {self.call_id}\r\nCSeq: {self.cseq} REGISTER\r\n{proof}{self.extra}"
            f"Contact: {self.contact}{self.params};expires={self.expires}\r\nExpires: {self.expires}\r\n"
            f"Supported: {self.supported}\r\nUser-Agent: pages\r\nContent-Length: 0\r\n\r\n"
        )
        return lines.encode()

    def _proof(self) -> str:
        self.count += 1
        realm = OTHER if self.domain == OTHER else DOMAIN
        said = Credentials(self.user, realm, self.nonce, f"sip:{DOMAIN}", "", "MD5", "auth", f"{self.count:08x}", "c1")
        proof = response_of(said, ha1("MD5", self.user, realm, self.password), "REGISTER")
        return (
            f'Digest algorithm=MD5, username="{self.user}", realm="{realm}", nonce="{self.nonce}", uri="{said.uri}", '
            f'response="{proof}", qop=auth, cnonce="c1", nc={said.nc}'
        )


A, B, C = (f';+sip.instance="<urn:uuid:{one}>";reg-id=1' for one in "abc")
NUMBERS = st.integers(0, 3)
OCTETS = st.sampled_from([b"", b"\0", b"a", b"\xc3", b"\r\n", b";", b'"', b" "])
ACCOUNTS: list[dict[str, Any]] = [
    {}, {"enabled": False}, {"credential_version": 2}, {"encryption": "required"}, {"tier": "guest"}, {"id": "another"},
    {"blocked_devices": frozenset("a")}, {"blocked_devices": frozenset("bc")}, {"username": "alice"},
]  # fmt: skip
CHANGES: dict[str, list[Any]] = {
    "user": ["bob", "alice", "bo%62"],
    "domain": [ALIAS, OTHER, "elsewhere.example"],
    "host": [ALIAS, OTHER, "elsewhere.example"],
    "via": ["192.0.2.1", "192.0.2.1:5061", "P1.invalid"],
    "rport": [";rport", ";rport=1", ";received=1.2.3.4"],
    "tag": ["t2", "t1;x=y"],
    "call_id": ["call-2", "call 3"],
    "contact": ["<sip:c2@p1.invalid;transport=ws>", "*", "<tel:1>"],
    "params": [A, B, C, A.replace("=1", "=2"), A.replace(";reg-id=1", ""), "", ";x", f"{A}, <sip:d@p1.invalid>{B}"],
    "expires": ["60", "90000", "5", "0", "x"],
    "supported": ["path, outbound", "GRUU"],
    "extra": [
        "X-Said: once\r\n", "Require: outbound\r\n", "Require: magic\r\n", "v: SIP/2.0/WSS h.invalid;branch=z9hG4bKv\r\n",
        "Authorization: Bearer abc\r\n", "Call-ID: twice\r\n", " folded\r\n", "Route: <sip:x@y.invalid;lr>\r\n",
    ],
    "names": [{"Call-ID": "i"}, {"To": "to"}, {"Call-ID": "call-id"}],
    "spoken": [True, False],
    "password": ["wrong"],
}  # fmt: skip


class BothWays(RuleBasedStateMachine):
    """Four clients of two accounts, at two registrars that hear the same."""

    @initialize()
    def begin(self) -> None:
        def config(aliases: set[str], domains: Any) -> SipConfig:
            return SipConfig(DOMAIN, aliases, domains, registrar=LIMITS, epoch=1.7e9, node="node.example.com")

        self.now, self.branches = 0.0, 0
        self.twins = [Twin(True, config), Twin(False, config)]
        for twin in self.twins:
            twin.accounts[f"bob@{OTHER}"] = replace(make_account(f"bob@{OTHER}", realm=OTHER), id="bob-other")
        self.pages = [Page(flow, params=params) for flow, params in zip(FLOWS, (A, B, C, C), strict=True)]
        for flow in FLOWS:
            self.each(lambda twin, flow=flow: twin.apply(twin.node.flow_opened(flow, self.now), self.now))
        for number in (0, 1, 2, 0, 1, 2, 3):
            self.again(number)

    def each(self, work: Any) -> None:
        for twin in self.twins:
            work(twin)

    def say(self, page: Page, text: bytes | None = None) -> bytes:
        self.branches += 1
        data = text if text is not None else page.text(f"{self.branches}")
        counts = [len(twin.sent) for twin in self.twins]
        self.each(lambda twin: twin.hear(data, page.flow, self.now))
        sent = [twin.sent[count:] for twin, count in zip(self.twins, counts, strict=True)]
        # 1. Both answer with the same octets.
        assert sent[0] == sent[1]
        return sent[0][0] if sent[0] else b""

    def register(self, page: Page, step: int = 1) -> None:
        page.cseq += step
        answer = self.say(page)
        if answer.startswith(b"SIP/2.0 401"):
            challenge = answer.partition(b"WWW-Authenticate: ")[2].partition(b"\r\n")[0].decode()
            page.nonce, page.count, spoken = parse_auth(challenge)[1]["nonce"], 0, page.spoken
            page.cseq, page.spoken = page.cseq + 1, True
            self.say(page)
            page.spoken = spoken

    # ---- what may happen; behind everything the client says its words again, so that the short way is tried after it

    @rule(
        number=NUMBERS,
        seconds=st.sampled_from([0.0, 0.0, 0.6, 3.0, 250.0]),
        times=st.integers(1, 6),
        spoken=st.booleans(),
    )
    def refresh(self, number: int, seconds: float, times: int, spoken: bool) -> None:
        self.pages[number].spoken = spoken
        for _ in range(times):
            self.wait(seconds)
            self.register(self.pages[number])

    @rule(number=NUMBERS, step=st.integers(-2, 0), other=st.booleans())
    def out_of_order(self, number: int, step: int, other: bool) -> None:
        if other:
            self.pages[number].call_id += "x"
        self.again(number, step)

    @rule(number=NUMBERS, name=st.sampled_from(sorted(CHANGES)), which=st.integers(0, 9), lasts=st.booleans())
    def change(self, number: int, name: str, which: int, lasts: bool) -> None:
        page, values = self.pages[number], CHANGES[name]
        before = getattr(page, name)
        setattr(page, name, values[which % len(values)])
        self.again(number)
        if not lasts:
            setattr(page, name, before)
        self.again(number)

    @rule(number=NUMBERS)
    def as_before(self, number: int) -> None:
        """The client is plain again."""
        old = self.pages[number]
        self.pages[number] = replace(Page(old.flow, params=old.params), cseq=old.cseq, nonce=old.nonce, count=old.count)
        self.again(number)

    @rule(number=NUMBERS, at=st.integers(0, 700), octet=OCTETS)
    def damage(self, number: int, at: int, octet: bytes) -> None:
        page = self.pages[number]
        page.cseq += 1
        data = page.text("damaged")
        self.wait(0.6)
        self.say(page, data[:at] + octet + data[at + 1 :])
        self.again(number)

    @rule(number=NUMBERS, to=NUMBERS)
    def by_another_flow(self, number: int, to: int) -> None:
        """Somebody else says the same words."""
        page = self.pages[number]
        page.cseq += 1
        self.say(replace(page, flow=FLOWS[to]))
        self.again(number)

    @rule(number=NUMBERS, to=NUMBERS, proves=st.booleans())
    def moves(self, number: int, to: int, proves: bool) -> None:
        """The device comes by another flow, and the old one speaks on."""
        page = self.pages[number]
        moved = replace(page, flow=FLOWS[to], spoken=proves)
        self.wait(0.6)
        self.register(moved)
        page.cseq = moved.cseq
        self.again(number)

    @rule(number=NUMBERS, seconds=st.sampled_from([0.1, 1.0, 61.0, 590.0, 601.0, 2500.0]))
    def wait_and_come(self, number: int, seconds: float) -> None:
        self.wait(seconds)
        self.again(number)

    @rule(number=NUMBERS, expired=st.booleans())
    def late(self, number: int, expired: bool) -> None:
        """Another binding has run out, and its clock has not rung yet."""
        other = self.pages[(number + 1) % 3]
        other.expires = "60" if expired else "600"
        self.again((number + 1) % 3)
        self.now += 61.0
        self.register(self.pages[number])

    @rule(number=NUMBERS)
    def lose(self, number: int) -> None:
        flow = FLOWS[number]
        self.each(lambda twin: twin.apply(twin.node.flow_lost(flow.id, self.now), self.now))
        if number % 2:
            self.again(number)
        self.each(lambda twin: twin.apply(twin.node.flow_opened(flow, self.now), self.now))
        self.again(number)

    @rule(which=st.integers(0, 3), number=NUMBERS)
    def kick(self, which: int, number: int) -> None:
        aor = f"sip:bob@{DOMAIN}"
        kept = self.twins[1].bindings.get(aor, ())
        name = kept[which].id if which < len(kept) else ""
        self.each(lambda twin: twin.apply(twin.node.perform(Unbind(aor, name), self.now), self.now))
        self.again(number)

    @rule(number=NUMBERS, state=st.sampled_from(list(Reachability)))
    def mark(self, number: int, state: Reachability) -> None:
        self.each(lambda twin: twin.node.perform(MarkFlow(FLOWS[number].id, state), self.now))
        self.again(number)

    @rule(fields=st.sampled_from(ACCOUNTS), number=NUMBERS, lasts=st.booleans())
    def account(self, fields: dict[str, Any], number: int, lasts: bool) -> None:
        for twin in self.twins:
            twin.accounts["bob"] = replace(make_account("bob"), **fields)
        self.again(number)
        if not lasts:
            for twin in self.twins:
                twin.accounts["bob"] = make_account("bob")

    @rule(methods=st.sampled_from([{"REGISTER"}, {"INVITE"}]), number=NUMBERS)
    def overload(self, methods: set[str], number: int) -> None:
        self.each(lambda twin: twin.node.perform(RefuseNew(frozenset(methods)), self.now))
        self.again(number)
        self.each(lambda twin: twin.node.perform(RefuseNew(frozenset()), self.now))

    @rule(number=NUMBERS, name=st.sampled_from(["domain", "host"]), hosts=st.sampled_from([{}, {ALIAS: OTHER}, None]))
    def domains(self, number: int, name: str, hosts: dict[str, str] | None) -> None:
        """An alias is used; then it is gone, or means another domain."""
        page = self.pages[number]
        setattr(page, name, ALIAS)
        self.again(number)
        self.again(number)
        for twin in self.twins:
            if hosts is None:
                twin.aliases.discard(ALIAS)
            twin.domains.use({OTHER: OTHER, **(hosts or {})}, {OTHER: OTHER}, {})
        self.again(number)
        for twin in self.twins:
            twin.aliases.add(ALIAS)
            twin.domains.use({OTHER: OTHER}, {OTHER: OTHER}, {})
        setattr(page, name, DOMAIN)
        self.again(number)

    @rule(seconds=st.sampled_from([30.0, 300.0, 1e6]), number=NUMBERS, spoken=st.booleans())
    def proof_with_an_end(self, seconds: float, number: int, spoken: bool) -> None:
        """A token has come with the connection."""
        page = self.pages[number]
        page.spoken = spoken
        account = make_account("bob")
        self.each(lambda twin: twin.authenticator.trust(page.flow, account, self.now, self.now + seconds, "bearer"))
        self.again(number)
        self.again(number)
        page.spoken = not spoken
        self.again(number)

    def wait(self, seconds: float) -> None:
        since, self.now = self.now, self.now + seconds
        self.each(lambda twin: twin.run(since, self.now))

    def again(self, number: int, step: int = 1) -> None:
        self.wait(0.6)
        self.register(self.pages[number], step)

    # ---- what holds

    @invariant()
    def the_same(self) -> None:
        if not hasattr(self, "twins"):
            return
        short, whole = self.twins
        # 2. Everything told, written and set, in its order.
        assert short.log == whole.log
        # 3. Everything kept, and every random number that comes next.
        assert short.state() == whole.state()
        self.each(lambda twin: twin.log.clear())
        # 4. Who never asked never got a short answer.
        assert whole.hits == 0


BothWays.TestCase.settings = settings(
    max_examples=150, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestBothWays = BothWays.TestCase


def test_the_second_refresh_in_the_same_words_is_served_by_its_text() -> None:
    both = BothWays()
    both.begin()
    page, begun = both.pages[0], both.twins[0].hits
    for _ in range(4):
        both.wait(60.0)
        both.register(page)
    # 1. The words were remembered when they were proved: all others are short.
    assert both.twins[0].hits == begun + 4
    page.spoken = False
    for _ in range(3):
        both.wait(60.0)
        page.tag, page.call_id = f"t{both.now}", f"call-{both.now}"
        both.register(page)
    # 2. Without credentials the words are the same.
    assert both.twins[0].hits == begun + 7
    both.the_same()
    # 3. A new proof, which a changed password asks for, begins anew.
    for twin in both.twins:
        twin.accounts["bob"] = replace(twin.accounts["bob"], credential_version=2)
    page.spoken = True
    both.wait(60.0)
    both.register(page)
    assert both.twins[0].hits == begun + 7
    both.the_same()
    both.teardown()


def test_words_serve_the_binding_that_they_were_about_and_no_other() -> None:
    both = BothWays()
    both.begin()
    page = both.pages[0]
    other = replace(page, params=B)
    for one in (page, other):
        both.wait(60.0)
        other.cseq = page.cseq
        both.register(one)
        page.cseq = other.cseq
    second = both.twins[1].bindings[f"sip:bob@{DOMAIN}"][-1]
    assert (second.flow.id, second.instance) == (page.flow.id, "<urn:uuid:b>")
    both.each(lambda twin: twin.apply(twin.node.perform(Unbind(second.aor, second.id), both.now), both.now))
    begun = both.twins[0].hits
    # 1. The flow's last words were about a binding that was taken away: they make a new one, and leave the first alone.
    both.wait(60.0)
    both.register(other)
    both.the_same()
    assert both.twins[0].hits == begun
    # 2. A binding that comes by another flow now is not moved back by the text alone: that flow has not said it last.
    moved = replace(other, flow=FLOWS[1])
    both.wait(60.0)
    both.register(moved)
    other.cseq, begun = moved.cseq, both.twins[0].hits
    both.wait(60.0)
    both.register(other)
    both.the_same()
    assert both.twins[0].hits == begun
    # 3. What was said of several bindings at once is not remembered, and the words before are forgotten.
    for params in (f"{B}, <sip:d@p1.invalid>{A}", B):
        both.wait(60.0)
        other.params = params
        both.register(other)
        both.the_same()
    assert both.twins[0].hits == begun
    both.teardown()


def test_what_is_cut_out_of_the_text_is_all_that_may_differ() -> None:
    page = Page(FLOWS[0], cseq=7, nonce="n")
    one = read(page.text("1"))
    other = read(replace(page, cseq=10, tag="t9", call_id="another", nonce="m", count=5).text("2222"))
    assert one is not None
    assert other is not None
    # 1. Branch, tag, Call-ID, CSeq and credentials do not count.
    assert one.digest == other.digest
    bare = read(replace(page, spoken=False).text("1"))
    assert bare is not None
    assert (bare.digest, bare.credentials) == (one.digest, "")
    # 2. Every other change does, or it is not read at all.
    for name, values in CHANGES.items():
        for value in values:
            if name in ("tag", "call_id", "password", "spoken") or value == getattr(page, name):
                continue
            read_now = read(replace(page, **{name: value}).text("1"))
            assert read_now is None or read_now.digest != one.digest, (name, value)
