"""A refresh that says what the last one said: a REGISTER that is known by its text, and answered without being taken apart.

A page registers again every few minutes in the same words. Cut out of them what may differ, the branch, the tag of From, the
Call-ID, the number of CSeq and the credentials, and the hash of the rest tells that it asks for the same once more. The hash
is kept with the proof of the flow (trust.py), from the moment such a REGISTER has gone the whole way through the registrar.

Rules of residence:

- **Nothing is refused here.** What is out of the ordinary in any way gets None and goes the whole way, which decides.
- Nothing changes before the last check has passed; then everything does that the whole way would change, draws of random
  numbers in their order included (tests/sip/test_refresh_properties.py).
- Only a connection that has proved the account is looked at (AUTH-9), and only its own last words: a stranger, another flow
  or another account has no hash here, and a new proof, a changed password or the end of the flow forgets it.
- Credentials are let pass as on the whole way, where nobody takes those of an account apart that its flow has proved, unless
  that proof has an end, which they might move: then this is not the way.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Protocol

from offhook.sip.carried import Carried
from offhook.sip.contacts import Refused
from offhook.sip.core import Core
from offhook.sip.domains import aor_of, parted, qualified
from offhook.sip.effects import Deliver, SendText, UpdateBindings
from offhook.sip.envelope import Envelope
from offhook.sip.events import BindingsChanged, DeviceReturned
from offhook.sip.flow import Flow
from offhook.sip.location import Account, Binding, Change, Changed
from offhook.sip.message import Headers
from offhook.sip.proof import Doorkeeper
from offhook.sip.rate import Rates
from offhook.sip.transaction.key import ServerKey
from offhook.sip.transaction.machine import Effect
from offhook.sip.trust import Trust

LONGEST = 2_560
"""Octets of a REGISTER that is looked at: less than the smallest head that a parser may be told to refuse."""
_DIGEST = 11
"""Octets of a hash; with the four behind it and Python's own it takes 48."""

_START = re.compile(r"REGISTER sips?:([a-z0-9.\-]++)(?::\d++)?(?:;transport=[a-z]++)? SIP/2\.0(?=\r\n)")
_VIA = re.compile(
    r"\r\nVia: (SIP/2\.0/[A-Z]{2,3} ([a-z0-9.\-]{1,200}+(?::[1-9]\d{0,4})?);branch=)"
    r"(z9hG4bK[A-Za-z0-9.\-_]{1,64}+)(;rport)?(?=\r\n)"
)
_FROM = re.compile(r"\r\nFrom: ([^<>\r\n]{0,200}+<[^<>\r\n]{1,200}+>;tag=)([A-Za-z0-9.\-_]{1,64}+)(?=\r\n)")
_TO = re.compile(r"\r\nTo: ([^<>\r\n]{0,200}+<sips?:([A-Za-z0-9\-_.!~*'()+]++)@([a-z0-9.\-]++)>)(?=\r\n)")
_CALL_ID = re.compile(r"\r\nCall-ID: ([!-~]{1,64}+)(?=\r\n)")
_CSEQ = re.compile(r"\r\nCSeq: (\d{1,9}+) REGISTER(?=\r\n)")
_PROOF = re.compile(r"\r\nAuthorization: (Digest [ -~]{1,900}+)(?=\r\n)")
"""Names of fields, and spaces, as browsers' libraries write them; no line can grow beyond what any setting allows."""


class Repeat(NamedTuple):
    """A REGISTER's text, read no further than it may differ from the last one. `via` and `from_` come in front of what was
    cut out; `digest` is the hash of all the rest, `credentials` "" without."""

    host: str
    via: str
    sent_by: str
    branch: str
    rport: str
    from_: str
    tag: str
    to: str
    user: str
    domain: str
    call_id: str
    cseq: str
    credentials: str
    digest: bytes


def read(data: bytes) -> Repeat | None:
    """None for a text that is not written as plainly as nearly all are."""
    if len(data) > LONGEST or not data.isascii() or data.find(b"\r\n\r\n") != len(data) - 4:
        return None
    if b"\r\n " in data or b"\r\n\t" in data:
        # A folded line: what is cut out might be the middle of it.
        return None
    text = data.decode("ascii")
    at = text.find("\r\nAuthorization: ")
    proof = _PROOF.match(text, at) if at > 0 else None
    if proof is not None:
        # Words are the same with and without them: most libraries send them once, and not again on the same connection.
        text = text[:at] + text[proof.end() :]
    start = _START.match(text)
    via, from_ = _VIA.match(text, text.find("\r\nVia: ")), _FROM.match(text, text.find("\r\nFrom: "))
    to, call_id = _TO.match(text, text.find("\r\nTo: ")), _CALL_ID.match(text, text.find("\r\nCall-ID: "))
    cseq = _CSEQ.match(text, text.find("\r\nCSeq: "))
    if not (start and via and from_ and to and call_id and cseq):
        return None
    holes = [via.span(3), from_.span(2), call_id.span(1), cseq.span(1)]
    holes.sort()
    kept, at = [], 0
    for begin, end in holes:
        kept.append(text[at:begin])
        at = end
    kept.append(text[at:])
    # No text with a NUL in it is ever remembered, so that the pieces cannot be shifted.
    digest = blake2b("\0".join(kept).encode("ascii"), digest_size=_DIGEST).digest()
    before, sent_by, branch, rport = via.groups("")
    return Repeat(
        start[1], before, sent_by, branch, rport, from_[1], from_[2], to[1], to[2], to[3], call_id[1], cseq[1],
        "" if proof is None else proof[1], digest,
    )  # fmt: skip


class Recalled(NamedTuple):
    """A text that the flow has said before: whose account and bindings are to be looked up."""

    repeat: Repeat
    trust: Trust
    username: str
    aor: str


class Steps(Protocol):
    """The registrar's own steps that are taken here too."""

    def may(self, aor: str, flow: Flow, account: Account) -> None:
        """REG-4. Raises Refused."""
        ...

    def write(self, aor: str, before: tuple[Binding, ...], after: tuple[Binding, ...], now: float) -> list[Effect]:
        """REG-12."""
        ...

    def contact(self, binding: Binding, with_gruus: bool, now: float) -> str:
        """REG-15: one value of Contact."""
        ...

    def fields(self, outbound: bool, now: float) -> list[tuple[str, str]]:
        """REG-15: the fields of the answer behind Contact."""
        ...


@dataclass(slots=True)
class Served:
    """A REGISTER that has just gone the whole way: `seconds` are those it asked for, before its proof's end cut them."""

    headers: Headers
    envelope: Envelope
    flow: Flow
    aor: str
    account: Account
    binding: Binding
    seconds: int
    with_gruus: bool


class Refreshes:
    """Owned by the registrar."""

    def __init__(
        self, core: Core, doorkeeper: Doorkeeper, carried: Carried, per_aor: Rates, per_node: Rates, steps: Steps
    ) -> None:
        self._core = core
        self._doorkeeper = doorkeeper
        self._carried = carried
        self._per_aor = per_aor
        self._per_node = per_node
        self._steps = steps

    # ---- what was said

    def forget(self, flow: Flow, account: Account, now: float) -> None:
        """Something else was said of the account's bindings on this flow."""
        trust = self._doorkeeper.trust(flow, account.username, now)
        if trust is not None:
            trust.said, trust.binding = b"", ""

    def remember(self, served: Served, now: float) -> None:
        """From now on the same words are recognised, if they are such that they can be."""
        trust = self._doorkeeper.trust(served.flow, served.account.username, now)
        if trust is None:
            return
        repeat = read(served.envelope.text) if served.envelope.text else None
        if repeat is not None and self._says(repeat, served):
            trust.said, trust.binding = _sealed(repeat.digest, served.seconds, served.with_gruus), served.binding.id

    def _says(self, repeat: Repeat, served: Served) -> bool:
        """True if the parser has understood the text as `read` has, which then holds for every text of the same hash."""
        fields, envelope, binding = served.headers, served.envelope, served.binding
        return (
            (envelope.vias, envelope.via_text) == (1, f"{repeat.via}{repeat.branch}{repeat.rport}")
            and (fields.get("From"), envelope.from_tag) == (repeat.from_ + repeat.tag, repeat.tag)
            and (fields.get("To"), envelope.to_tag) == (repeat.to, "")
            and (envelope.call_id, envelope.cseq) == (repeat.call_id, int(repeat.cseq))
            and fields.all("Authorization") == ((repeat.credentials,) if repeat.credentials else ())
            and served.aor == aor_of(served.account.username, self._core.config.domain)
            and self._means(repeat, served.account.username)
            and binding.instance is not None
            and binding.path == ()
            and binding.flow.id == served.flow.id
        )

    # ---- what is said again

    def recall(self, data: bytes, flow: Flow, now: float) -> Recalled | None:
        """Whose account and bindings are to be looked up for `refresh`; None when the whole way has to be gone."""
        if not self._doorkeeper.recalls(flow):
            return None
        repeat = read(data)
        trust = self._doorkeeper.recalled(flow, repeat.digest, now) if repeat is not None else None
        if repeat is None or trust is None or not self._means(repeat, trust.username):
            return None
        if repeat.credentials and not _names(repeat.credentials, trust.username):
            return None
        return Recalled(repeat, trust, trust.username, aor_of(trust.username, self._core.config.domain))

    def _means(self, repeat: Repeat, username: str) -> bool:
        """REG-1, REG-5: which hosts are ours, and whose, may have changed."""
        config = self._core.config
        for host in (repeat.host, repeat.domain):
            if host != config.domain and host not in config.aliases:
                return False
        return qualified(repeat.user, config.domains.of(repeat.domain)) == username

    def refresh(
        self, recalled: Recalled, flow: Flow, account: Account | None, bindings: tuple[Binding, ...], now: float
    ) -> list[Effect] | None:
        """The effects of the registrar's steps; None when one of them might come out otherwise than the last time."""
        repeat, trust = recalled.repeat, recalled.trust
        proof = self._doorkeeper.proven(flow, account, now)
        if proof is None or account is None or account.username != trust.username:
            return None
        if proof.ends is not None and repeat.credentials:
            return None
        old = self._standing(trust.binding, flow, bindings, now)
        if old is None or (old.call_id == repeat.call_id and int(repeat.cseq) <= old.cseq):
            return None
        if account.blocks(old.instance) or not self._lets_in(recalled, flow, account, now):
            return None
        asked, with_gruus = _opened(trust.said)
        seconds = float(asked) if proof.ends is None else min(float(asked), max(1.0, proof.ends - now))
        new = old.refreshed(flow, repeat.call_id, int(repeat.cseq), now + seconds, now, proof.how)
        others = tuple([one for one in bindings if one is not old])
        after = (*others, new)
        answer = self._answer(repeat, flow, new, others, with_gruus, now)
        written: list[Effect]
        if others:
            written = self._steps.write(recalled.aor, bindings, after, now)
        else:
            written = [
                UpdateBindings(recalled.aor, after),
                *self._carried.rewritten(recalled.aor, bindings, after, now),
            ]
        return [
            *written,
            answer,
            Deliver(DeviceReturned(recalled.aor, account.username, new)),
            Deliver(BindingsChanged(recalled.aor, after, (Changed(new, Change.REFRESHED),))),
        ]

    def _standing(self, name: str, flow: Flow, bindings: tuple[Binding, ...], now: float) -> Binding | None:
        """The binding that the words were about, if it stands on this flow still and nothing beside it has to end."""
        found: Binding | None = None
        if len(bindings) > self._core.config.registrar.contacts_per_aor:
            return None
        for one in bindings:
            if one.expires_at <= now:
                return None
            if one.id == name and one.flow.id == flow.id and one.attached:
                found = one
        return found

    def _lets_in(self, recalled: Recalled, flow: Flow, account: Account, now: float) -> bool:
        """Transactions, REG-3 and REG-4; both rates are counted when both have room."""
        repeat, table = recalled.repeat, self._core.table
        if table.full(flow) or table.server(ServerKey(repeat.branch, repeat.sent_by, "REGISTER")) is not None:
            return False
        if not self._carried.alive(flow):
            return False
        try:
            self._steps.may(recalled.aor, flow, account)
        except Refused:
            return False
        if not (self._per_node.has("", now) and self._per_aor.has(recalled.aor, now)):
            return False
        return self._per_node.allow("", now) and self._per_aor.allow(recalled.aor, now)

    def _answer(
        self, repeat: Repeat, flow: Flow, own: Binding, others: tuple[Binding, ...], with_gruus: bool, now: float
    ) -> SendText:
        """REG-15, in the order of the whole way's answer; Via as stamp.py makes it."""
        contact = ", ".join([self._steps.contact(one, with_gruus, now) for one in (own, *others)])
        fields = "".join([f"{name}: {value}\r\n" for name, value in self._steps.fields(own.reg_id is not None, now)])
        host, port = flow.remote
        via = f"{repeat.via}{repeat.branch}"
        if repeat.rport:
            via = f"{via};rport={port};received={host}"
        elif repeat.sent_by.partition(":")[0] != host.lower():
            via = f"{via};received={host}"
        text = (
            f"SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: {repeat.from_}{repeat.tag}\r\n"
            f"To: {repeat.to};tag={self._core.ids.token()}\r\nCall-ID: {repeat.call_id}\r\nCSeq: {repeat.cseq} REGISTER\r\n"
            f"Server: {self._core.config.server}\r\nContact: {contact}\r\n{fields}Content-Length: 0\r\n\r\n"
        )
        return SendText(flow.id, text.encode("utf-8", "surrogateescape"))


def _names(credentials: str, username: str) -> bool:
    """As proof.py looks at the credentials of somebody who is believed already."""
    return f'username="{parted(username)[0]}"' in credentials


def _sealed(digest: bytes, seconds: int, with_gruus: bool) -> bytes:
    return digest + (seconds << 1 | with_gruus).to_bytes(4, "big")


def _opened(said: bytes) -> tuple[int, bool]:
    number = int.from_bytes(said[_DIGEST:], "big")
    return number >> 1, bool(number & 1)
