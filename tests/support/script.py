"""A caller that sends what it is told, whatever the dialog would allow: races are drawn with it message by message."""

from offhook.sip.flow import Transport
from offhook.sip.message import Message, Request, Response
from tests.support.house import House, Phone
from tests.support.messages import SDP, make_request, make_response


class Mute:
    """A node that hears everything and says nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: []


class Script:
    """Alice's account behind a connection of its own; every message is written by hand."""

    def __init__(self, house: House, transport: Transport = Transport.TLS) -> None:
        self.house = house
        self.phone = Phone(house, "script", "alice", transport, "sip:alice@127.0.0.1;transport=tls")
        self.phone.trust()
        self.phone.station.node = Mute()  # type: ignore[assignment]

    def send(
        self, method: str, cseq: int = 1, tag: str = "", branch: str = "", body: bytes = b"", **extra: str
    ) -> None:
        """A request of the caller; `tag` is that of the house inside the dialog."""
        transport, branch = str(self.phone.there.transport), branch or f"z9hG4bK{method}{cseq}"
        self.carry(make_request(method, branch=branch, transport=transport, cseq=cseq, to_tag=tag, body=body, **extra))

    def answer(self, status: int, body: bytes = b"", method: str = "", **extra: str) -> None:
        """A response to the last request of the house, or the last of a method."""
        self.carry(make_response(self.asked(method)[-1], status, "", body, **extra))

    def carry(self, message: Message) -> None:
        """Any message."""
        self.house.link.carry(self.phone.station, self.phone.there.id, message)
        self.house.link.run(0.05)

    def invite(self, body: bytes = SDP, **fields: str) -> None:
        """The first INVITE."""
        self.send("INVITE", body=body, **fields)

    def confirm(self) -> None:
        """ACK to the 200."""
        self.send("ACK", tag=self.tag)

    def heard(self, method: str) -> list[int]:
        """Statuses of the responses to one method."""
        return [one.status for one in self.responses(method)]

    def responses(self, method: str) -> list[Response]:
        """Responses of the house to one method, copies included."""
        came = [one for one in self.phone.station.received if isinstance(one, Response)]
        return [one for one in came if (one.headers.get("CSeq") or "").endswith(f" {method}")]

    @property
    def tag(self) -> str:
        """The house's tag in the dialog."""
        tagged = [one for one in self.phone.station.received if isinstance(one, Response) and one.status > 100]
        return (tagged[-1].headers.get("To") or "").rpartition("tag=")[2]

    def asked(self, method: str = "") -> list[Request]:
        """Requests of the house, copies and ACKs left out."""
        came = [one for one in self.phone.station.received if isinstance(one, Request) and one.method != "ACK"]
        return list({one.headers.get("CSeq"): one for one in came if method in ("", one.method)}.values())
