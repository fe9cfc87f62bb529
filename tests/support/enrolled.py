"""A device of the house that registers by real REGISTER messages, with challenge and proof."""

from offhook.sip.flow import Transport
from offhook.sip.message import Request, Response
from tests.support.house import House, Phone
from tests.support.messages import make_request
from tests.support.nodes import DOMAIN, authorized


class Enrolled(Phone):
    """`instance` as it stands in the Contact, with its brackets; "" for none."""

    def __init__(
        self,
        house: House,
        username: str,
        name: str = "",
        transport: Transport = Transport.WSS,
        instance: str = "",
        password: str = "zanzibar",
        auth_user: str = "",
    ) -> None:
        name = name or username
        super().__init__(house, name, username, transport, f"sip:{name}@{name}.invalid")
        self.instance, self.password, self.auth_user = instance, password, auth_user or username
        self._cseq, self._life = 0, 0

    def ask_to_register(self, **fields: str) -> Request:
        """A REGISTER with the next CSeq."""
        self._cseq += 2
        address = f"<sip:{self.username}@{DOMAIN}>"
        instance = f';+sip.instance="{self.instance}"' if self.instance else ""
        fields.setdefault("Contact", f"<{self.contact}>{instance}")
        call_id = f"reg-{self.station.name}-{self._life}"
        branch = f"z9hG4bK{call_id}-{self._cseq}"
        return make_request(
            "REGISTER", f"sip:{DOMAIN}", branch=branch, cseq=self._cseq, call_id=call_id, to=address, from_=address,
            **fields,
        )  # fmt: skip

    def send(self, request: Request) -> Response:
        """One request by the present flow, and the answer to it."""
        self.house.station.feed(request, self.back)
        answer = self.house.station.sent[-1]
        assert isinstance(answer, Response)
        return answer

    def enrol(self, **fields: str) -> Response:
        """REGISTER, and once more with credentials when challenged; the last answer."""
        request = self.ask_to_register(**fields)
        answer = self.send(request)
        if answer.status == 401:
            answer = self.send(authorized(request, answer, self.auth_user, self.password))
        return answer

    def reload(self, contact: str = "") -> None:
        """A new page load: another connection, Call-ID and Contact, the same instance. The old connection stays."""
        link = self.house.link
        self._life += 1
        self.there, self.back = link.connect(self.station, self.house.station, self.back.transport)
        self.contact = contact or f"sip:{self.station.name}-{self._life}@{self.station.name}.invalid"

    def lose(self) -> None:
        """The present connection breaks, and both ends see it."""
        self.house.link.disconnect(self.back.id)

    @property
    def bound(self) -> list[str]:
        """The Contacts of its address of record."""
        return [str(one.contact) for one in self.house.node.bindings.get(f"sip:{self.username}@{DOMAIN}", ())]
