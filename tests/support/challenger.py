"""A SIP node behind a gate that asks for digest credentials, as a carrier's edge does."""

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from offhook.sip.digest import Credentials, ha1, parse_credentials, proves
from offhook.sip.effects import Send, SipEffect
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.errors import PeerError
from offhook.sip.fields import quote
from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import Account, Binding
from offhook.sip.message import Headers, Message, Request
from offhook.sip.response import response_to


@dataclass(frozen=True)
class Gate:
    """One protection space. `qop` None means a peer of RFC 2069."""

    realm: str = "carrier.example"
    status: int = 407
    algorithms: tuple[str, ...] = ("MD5",)
    qop: str | None = "auth"
    opaque: str = ""
    username: str = "line1"
    password: str = "zanzibar"


@dataclass
class Challenger:
    """Every request of `methods` must pass each gate in turn; `used` counts each nonce as the carrier saw it."""

    endpoint: SipEndpoint
    gates: list[Gate] = field(default_factory=lambda: [Gate()])
    methods: frozenset[str] = frozenset({"INVITE", "BYE", "UPDATE", "INFO", "REGISTER", "OPTIONS", "MESSAGE", "REFER"})
    proofs: list[tuple[str, Credentials]] = field(default_factory=list)
    challenged: list[Request] = field(default_factory=list)
    admitted: list[Request] = field(default_factory=list)
    verdict: Callable[[Request], tuple[int, Headers]] = lambda _: (200, Headers())
    """The answer to an admitted request outside any dialog."""
    life: int = 1_000_000
    """Requests that one nonce admits before it is stale."""

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._nonces: dict[str, str] = {}
        self._uses: dict[str, int] = {}

    def receive(self, message: Message, flow: Flow, now: float) -> list[SipEffect]:
        if isinstance(message, Request) and message.method in self.methods:
            answer = self._judge(message)
            if answer is not None:
                self.challenged.append(message)
                return [Send(flow.id, response_to(message, answer[0], answer[1], b"", f"gate{next(self._numbers)}"))]
            self.admitted.append(message)
            if message.method in ("REGISTER", "OPTIONS", "MESSAGE"):
                status, fields = self.verdict(message)
                return [Send(flow.id, response_to(message, status, fields, b"", f"gate{next(self._numbers)}"))]
        return self.endpoint.receive(message, flow, now)

    def _judge(self, request: Request) -> tuple[int, Headers] | None:
        for gate in self.gates:
            proof = self._proof(request, gate)
            if proof is None:
                return gate.status, self._challenge(gate, False)
            if not proves(proof, ha1(proof.algorithm.partition("-SESS")[0], gate.username, gate.realm, gate.password),
                          request.method, request.body):  # fmt: skip
                return gate.status, self._challenge(gate, False)
            if self._nonces.get(gate.realm) != proof.nonce or self._uses[proof.nonce] >= self.life:
                return gate.status, self._challenge(gate, True)
            self._uses[proof.nonce] += 1
            if gate.qop:
                assert int(proof.nc, 16) == self._uses[proof.nonce], "nc is one higher each time"
            self.proofs.append((request.method, proof))
        return None

    def _proof(self, request: Request, gate: Gate) -> Credentials | None:
        carrier = "Authorization" if gate.status == 401 else "Proxy-Authorization"
        found = [parse_credentials(value) for value in request.headers.all(carrier)]
        return next((one for one in found if one is not None and one.realm == gate.realm), None)

    def _challenge(self, gate: Gate, stale: bool) -> Headers:
        nonce = f"nonce{next(self._numbers)}"
        self._nonces[gate.realm], self._uses[nonce] = nonce, 0
        name = "WWW-Authenticate" if gate.status == 401 else "Proxy-Authenticate"
        fields = []
        for algorithm in gate.algorithms:
            text = f"Digest realm={quote(gate.realm)}, nonce={quote(nonce)}, algorithm={algorithm}"
            text += f", qop={quote(gate.qop)}" if gate.qop else ""
            text += f", opaque={quote(gate.opaque)}" if gate.opaque else ""
            fields.append((name, text + (", stale=true" if stale else "")))
        return Headers(fields)

    # the rest is the node's own

    def receive_malformed(self, error: PeerError, flow: Flow, now: float) -> list[SipEffect]:
        return self.endpoint.receive_malformed(error, flow, now)

    def timer_fired(self, key: Hashable, now: float) -> list[SipEffect]:
        return self.endpoint.timer_fired(key, now)

    def send_failed(self, flow: FlowId, message: Message, now: float) -> list[SipEffect]:
        return self.endpoint.send_failed(flow, message, now)

    def flow_opened(self, flow: Flow, now: float) -> list[SipEffect]:
        return self.endpoint.flow_opened(flow, now)

    def flow_lost(self, flow: FlowId, now: float) -> list[SipEffect]:
        return self.endpoint.flow_lost(flow, now)

    def registration_found(
        self, token: Hashable, account: Account | None, bindings: tuple[Binding, ...], now: float
    ) -> list[SipEffect]:
        return self.endpoint.registration_found(token, account, bindings, now)

    def perform(self, command, now):  # type: ignore[no-untyped-def]
        return self.endpoint.perform(command, now)
