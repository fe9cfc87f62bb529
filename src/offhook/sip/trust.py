"""Flows that have proved whose they are (AUTH-9). UDP never is trusted: its source address can be forged."""

from dataclasses import dataclass

from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import Account


@dataclass(slots=True)
class Trust:
    """One proof. `until` is on the core's clock; `ends` is when the credential itself ends, None if it does not."""

    account_id: str
    username: str
    version: int
    until: float
    ends: float | None
    how: str = ""
    said: bytes = b""
    """The hash of the account's last REGISTER on the flow, and what it asked for (refresh.py)."""
    binding: str = ""
    """Id of the binding that it was about."""


class TrustedFlows:
    """A flow may prove several endpoints, one after the other: a phone with two accounts has one connection."""

    def __init__(self, seconds: float, most: int, per_flow: int) -> None:
        self._seconds = seconds
        self._most = most
        self._per_flow = per_flow
        self._flows: dict[FlowId, tuple[Trust, ...]] = {}
        """Nearly all flows prove one endpoint, and there are as many as pages."""

    def __len__(self) -> int:
        return len(self._flows)

    def trust(self, flow: Flow, account: Account, now: float, ends: float | None, how: str = "") -> None:
        """After a proof: a secure or loopback connection is believed from now on, until its credential ends."""
        if not flow.transport.reliable or not (flow.secure or flow.loopback):
            return
        until = now + self._seconds if ends is None else min(now + self._seconds, ends)
        proof = Trust(account.id, account.username, account.credential_version, until, ends, how)
        others = [one for one in self._flows.pop(flow.id, ()) if one.username != account.username]
        self._flows[flow.id] = (*others, proof)[-self._per_flow :]
        if len(self._flows) > self._most:
            del self._flows[next(iter(self._flows))]

    def of(self, flow: FlowId, username: str, now: float) -> Trust | None:
        """The proof of that endpoint, None without a live one."""
        for found in self._flows.get(flow, ()):
            if found.username == username:
                return found if found.until > now else None
        return None

    def recalls(self, flow: FlowId) -> bool:
        """True if words of a REGISTER on the flow are remembered."""
        return any(one.said for one in self._flows.get(flow, ()))

    def recalled(self, flow: FlowId, digest: bytes, now: float) -> Trust | None:
        """The live proof of the account that said those words last."""
        for found in self._flows.get(flow, ()):
            if found.said.startswith(digest) and found.until > now:
                return found
        return None

    def latest(self, flow: FlowId, now: float) -> str | None:
        """The user name proved last, None without a live one."""
        for found in reversed(self._flows.get(flow, ())):
            if found.until > now:
                return found.username
        return None

    def forget_flow(self, flow: FlowId) -> None:
        """The flow is gone."""
        self._flows.pop(flow, None)

    def forget_account(self, username: str) -> None:
        """Its credentials changed or are gone: its flows must prove themselves again."""
        for flow, proofs in list(self._flows.items()):
            left = tuple([one for one in proofs if one.username != username])
            if not left:
                del self._flows[flow]
            elif len(left) < len(proofs):
                self._flows[flow] = left
