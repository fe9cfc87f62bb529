"""REFER as devices send it, and what they hear of it."""

from offhook.calls import effects as do
from offhook.sip.commands import Respond, SendInDialog, SendInvite
from offhook.sip.events import InviteReceived, RequestInDialog, UsageId
from offhook.sip.message import Headers, Request
from offhook.sip.uri import parse_uri
from tests.support.house import WITH_SDP, House, Phone
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN


def refer(phone: Phone, target: str, usage: UsageId | None = None, seconds: float = 0.1, **fields: str) -> None:
    """REFER inside the phone's own call, or in `usage`."""
    named = [(name.replace("_", "-"), value) for name, value in fields.items()]
    headers = Headers([("Refer-To", target), *named])
    phone.station.perform(SendInDialog(usage or phone.call, "REFER", headers))
    phone.house.link.run(seconds)


def answer_notify(phone: Phone) -> None:
    """From now on the phone answers every NOTIFY with 200, as a device does that knows REFER."""

    def answered(event: object) -> None:
        if isinstance(event, RequestInDialog) and event.request.method == "NOTIFY":
            phone.station.perform(Respond(event.transaction, 200))

    phone.station.on_event = answered


def told(phone: Phone) -> list[str]:
    """The status lines that NOTIFY brought, without repeats, each with its Subscription-State's first word."""
    lines = [f"{one.body.decode().strip()} {state(one)}" for one in phone.got("NOTIFY")]
    return list(dict.fromkeys(lines))


def state(notify: Request) -> str:
    """active or terminated."""
    return (notify.headers.get("Subscription-State") or "").partition(";")[0]


def dialog(phone: Phone, usage: UsageId | None = None, reverse: bool = False) -> str:
    """The phone's dialog as a Replaces value, by its own view: to-tag is the remote one (RFC 3891 section 3)."""
    one = phone.device.dialog_of(usage or phone.call)
    local, remote = (one.remote_tag, one.local_tag) if reverse else (one.local_tag, one.remote_tag)
    return f"{one.call_id};to-tag={remote};from-tag={local}"


def second_call(phone: Phone, user: str, body: bytes = SDP) -> UsageId:
    """Another call of the same device, under its own usage."""
    usage = UsageId(f"second-of-{phone.name}")
    caller, called = f"<sip:{phone.username}@{DOMAIN}>", f"<sip:{user}@{DOMAIN}>"
    command = SendInvite(usage, phone.there.id, parse_uri(f"sip:{user}@{DOMAIN}"), caller, called, 70, WITH_SDP, body)
    phone.station.perform(command)
    phone.house.link.run(0.1)
    return usage


def rings(phone: Phone) -> int:
    """How often the phone has been called."""
    return len(phone.station.of(InviteReceived))


def bridged(house: House) -> set[frozenset[str]]:
    """Which phones hear each other, by the names of their endpoints, as the engine was told last."""
    node = house.node
    owners: dict[int, str] = {}
    for call in (*node.switchboard._calls.values(), *node.switchboard._ended.values()):
        for leg in call.legs:
            if leg.media is not None and leg.account is not None:
                owners[leg.media.leg] = leg.account.username
    sources: dict[int, object] = {}
    for effect in house.media.told:
        match effect:
            case do.BridgeMedia(a, b):
                sources[a], sources[b] = b, a
            case do.PlayMedia(leg, source):
                sources[leg] = source
            case do.CloseMediaLeg(leg):
                sources.pop(leg, None)
    open_legs = house.media.open
    return {
        frozenset((owners[a], owners[b]))
        for a, b in sources.items()
        if isinstance(b, int) and a != b and sources.get(b) == a and a in open_legs and b in open_legs
    }
