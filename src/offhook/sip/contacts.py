"""The Contacts of a REGISTER: what each asks for, which binding it means, and how bindings are written into an answer.

Lives here: steps REG-6, REG-8, REG-9, REG-10, REG-14 and REG-15 of the registrar, as functions of a request. Never here:
whose bindings they are and where they are kept.
"""

from functools import lru_cache
from sys import intern

from offhook.record import record
from offhook.sip.config import SipConfig
from offhook.sip.envelope import Envelope
from offhook.sip.fields import NameAddr, parse_name_addr, quote, split_list, warning
from offhook.sip.flow import Flow
from offhook.sip.grammar import TOKEN
from offhook.sip.gruu import Gruus, nameable
from offhook.sip.ids import Ids
from offhook.sip.location import Binding
from offhook.sip.message import Headers, Request
from offhook.sip.uri import Uri, equivalent


class Refused(Exception):
    """A step refuses the request with this status."""

    def __init__(self, status: int, *fields: tuple[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.fields = fields


@record
class Wish:
    """One Contact of the request: the binding as it would be, `seconds` 0 to remove it."""

    binding: Binding
    seconds: float


@record
class Petition:
    """What is the same for every Contact of one REGISTER."""

    request: Request
    envelope: Envelope
    flow: Flow
    aor: str


@record
class Reader:
    """Reads Contacts by the registrar's settings."""

    config: SipConfig

    def contacts(self, request: Request) -> list[NameAddr] | None:
        """REG-6: the Contact values; none to fetch; None for `*`, which clears bindings but never calls."""
        values = [value for line in request.headers.all("Contact") for value in split_list(line)]
        if "*" not in (value.strip() for value in values):
            return [parse_name_addr(value) for value in values]
        if len(values) > 1 or (request.headers.get("Expires") or "").strip() != "0":
            raise self.bad_contact("Contact * needs Expires: 0 and no other Contact")
        return None

    def wishes(
        self, petition: Petition, values: list[NameAddr], now: float, ends: float | None, how: str = ""
    ) -> list[Wish]:
        """REG-9: what each Contact asks for. `ends`: when the credential that speaks ends, None if not; `how`: its proof."""
        most = self.config.registrar.contacts_per_request
        if len(values) > most:
            text = f"more contacts in one REGISTER than limits.contacts_per_register ({most})"
            raise Refused(403, self._warning("too-many-contacts", text))
        path = self._path(petition)
        return [self._wish(petition, value, path, now, ends, how) for value in values]

    def _wish(
        self, petition: Petition, value: NameAddr, path: tuple[str, ...], now: float, ends: float | None, how: str
    ) -> Wish:
        headers = petition.request.headers
        uri = self._checked(value, petition)
        seconds = float(self.seconds(value, headers))
        if ends is not None and seconds:
            seconds = min(seconds, max(1.0, ends - now))
        instance, reg_id = self._outbound(value, petition, path)
        binding = Binding(
            aor=petition.aor,
            contact=uri,
            flow=petition.flow,
            call_id=petition.envelope.call_id,
            cseq=petition.envelope.cseq,
            expires_at=now + seconds,
            instance=instance,
            reg_id=reg_id,
            q=quality(value.params.get("q")),
            user_agent=intern(headers.get("User-Agent") or ""),
            params=_shared(tuple([one for one in value.params.items() if one[0] not in _OURS])),
            registered_at=now,
            refreshed_at=now,
            path=path,
            auth=how,
        )
        return Wish(binding, seconds)

    def _checked(self, value: NameAddr, petition: Petition) -> Uri:
        """REG-8: on a WebSocket any host will do, for it is never looked at (WS-6)."""
        uri, flow = value.uri, petition.flow
        if uri.scheme not in ("sip", "sips"):
            raise self.bad_contact(f"a Contact of scheme {uri.scheme} cannot be called")
        if "gr" in uri.params and self.config.is_ours(uri):
            # RFC 5627 section 5.1: it would lead back to the address of record that it is to be a device of.
            raise Refused(403, self._warning("bad-contact", "a GRUU of ours cannot be registered as a Contact"))
        if not flow.transport.websocket and (uri.host, uri.port or 5060) == (flow.local[0], flow.local[1]):
            raise self.bad_contact("the Contact is our own address")
        return uri

    def bad_contact(self, text: str) -> Refused:
        """400 with the sentence."""
        return Refused(400, self._warning("bad-contact", text))

    def _warning(self, slug: str, text: str) -> tuple[str, str]:
        return ("Warning", warning(self.config.domain, slug, text))

    def seconds(self, value: NameAddr, headers: Headers) -> int:
        """`expires` parameter, then Expires, then the default (10.3 step 6). Raises Refused."""
        limits, text = self.config.registrar, (value.params.get("expires") or headers.get("Expires") or "").strip()
        if not text.isascii() or not text.isdigit():
            # 10.2.1.1: a malformed value counts as none.
            return limits.expires_default
        seconds = min(int(text[:10]), limits.expires_max)
        if 0 < seconds < limits.expires_min:
            raise Refused(423, ("Min-Expires", str(limits.expires_min)))
        return seconds

    # REG-14

    def _path(self, petition: Petition) -> tuple[str, ...]:
        """The Path of a proxy that may set one; a stranger's is ignored, for calls would go wherever it says."""
        if petition.flow.transport.websocket or not self.config.is_trusted_proxy(petition.flow.remote[0]):
            return ()
        values = [value for line in petition.request.headers.all("Path") for value in split_list(line)]
        for value in values:
            if parse_name_addr(value).uri.scheme not in ("sip", "sips"):
                raise Refused(400, self._warning("request-malformed", "a Path is a SIP URI in angle brackets"))
        return tuple(values)

    def _outbound(self, value: NameAddr, petition: Petition, path: tuple[str, ...]) -> tuple[str | None, int | None]:
        """RFC 5626 section 6: reg-id counts only with an instance, when asked for, and when the first hop keeps flows."""
        headers = petition.request.headers
        instance = value.params.get("+sip.instance") or None
        text = value.params.get("reg-id") or ""
        asked = "outbound" in (tag.lower() for tag in option_tags(headers, "Supported"))
        if instance is None or not (text.isascii() and text.isdigit()) or not asked:
            return instance, None
        if not self._first_hop_keeps_flows(headers, path):
            if self.config.outbound_strict:
                raise Refused(439, self._warning("first-hop-lacks-outbound", "the first proxy does not keep flows"))
            # *Deviation*: widespread client code never recovers from 439.
            return instance, None
        return instance, int(text[:10])

    @staticmethod
    def _first_hop_keeps_flows(headers: Headers, path: tuple[str, ...]) -> bool:
        hops = sum(len(split_list(line)) for line in headers.all("Via"))
        # Proxies put their Path before those that are there, so the client's own is the last.
        return hops == 1 or (bool(path) and "ob" in parse_name_addr(path[-1]).uri.params)


@lru_cache(maxsize=256)
def _shared(params: tuple[tuple[str, str | None], ...]) -> dict[str, str | None]:
    """One dictionary for all bindings whose clients name the same features; nobody changes it."""
    return dict(params)


_OURS = ("expires", "+sip.instance", "reg-id", "pub-gruu", "temp-gruu")
"""Parameters that the registrar itself writes."""


# ---- REG-10


def same_key(a: Binding, b: Binding) -> bool:
    """Instance and reg-id; without instance the Contact URI, of which a WebSocket's peer means user and host."""
    if a.instance is not None or b.instance is not None:
        return a.instance == b.instance and a.reg_id == b.reg_id
    if a.flow.transport.websocket and b.flow.transport.websocket:
        return (a.contact.user, a.contact.host) == (b.contact.user, b.contact.host)
    return equivalent(a.contact, b.contact)


def replaced(wishes: list[Wish], current: tuple[Binding, ...], ids: Ids) -> tuple[Binding, ...]:
    """The bindings after the wishes: the same key replaces and keeps its id, a new one gets its own."""
    after = list(current)
    for wish in wishes:
        old = next((binding for binding in after if same_key(binding, wish.binding)), None)
        if old is not None:
            after.remove(old)
        if wish.seconds:
            new = wish.binding
            after.append(
                new.known_as(ids.ref(), new.registered_at) if old is None else new.known_as(old.id, old.registered_at)
            )
    return tuple(after)


# ---- REG-15


def contact_value(binding: Binding, gruus: tuple[str, str] | None, now: float) -> str:
    """One value of the answer's Contact field; `gruus` are the public and the temporary one, for a client that asked."""
    params: dict[str, str | None] = {}
    if binding.instance is not None:
        params["+sip.instance"] = binding.instance
    if binding.reg_id is not None:
        params["reg-id"] = str(binding.reg_id)
    params |= binding.params
    params["expires"] = str(max(0, round(binding.expires_at - now)))
    text = f"<{binding.contact}>" + "".join(_param(name, value) for name, value in params.items())
    if gruus is not None:
        # Nothing in a URI has to be escaped inside quotes.
        text += f';pub-gruu="{gruus[0]}";temp-gruu="{gruus[1]}"'
    return text


def gruus_of(gruus: Gruus, ids: Ids, name: str, binding: Binding) -> tuple[str, str] | None:
    """The GRUUs of a binding of that endpoint; None for one without an instance that a URI can name."""
    if binding.instance is None or not nameable(binding.instance):
        return None
    public = gruus.public(name, binding.instance)
    return public, gruus.temporary(name, binding.instance, binding.call_id, ids)


def option_tags(headers: Headers, name: str) -> list[str]:
    """The option tags of Require or Supported, as received; they are compared without regard to case."""
    return [tag.strip() for line in headers.all(name) for tag in line.split(",") if tag.strip()]


def quality(text: str | None) -> float:
    try:
        return min(1.0, max(0.0, float(text or "1")))
    except ValueError:
        return 1.0


def _param(name: str, value: str | None) -> str:
    if value is None:
        return f";{name}"
    return f";{name}={value if TOKEN.fullmatch(value) else quote(value)}"
