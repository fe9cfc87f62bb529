"""Bodies of event notifications: dialog-info (RFC 4235), PIDF (RFC 3863), reginfo (RFC 3680, 5628), message-summary (3842).

Lives here: facts to text. Never here: who may see which, or when it is said (watching.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from offhook.sip.location import Binding, Change

DIALOG_INFO = "application/dialog-info+xml"
PIDF = "application/pidf+xml"
REGINFO = "application/reginfo+xml"
SUMMARY = "application/simple-message-summary"

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(frozen=True, slots=True)
class DialogLine:
    """One dialog of an endpoint, from the endpoint's side. The ids name it in Replaces; `remote` is a URI, "" if hidden."""

    id: str
    state: str
    direction: str
    call_id: str = ""
    local_tag: str = ""
    remote_tag: str = ""
    remote: str = ""
    remote_name: str = ""


@dataclass(frozen=True, slots=True)
class ContactLine:
    """One binding as a watcher of registrations sees it. `gruu` is the public one, "" if there is none."""

    binding: Binding
    change: Change
    gruu: str = ""


def dialog_info(entity: str, version: int, lines: Iterable[DialogLine]) -> bytes:
    """The full state (EVT-1)."""
    head = f'<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="{version}" state="full" entity="{_(entity)}">'
    return f"{_HEAD}{head}\n{''.join(_dialog(entity, line) for line in lines)}</dialog-info>\n".encode()


def _dialog(entity: str, line: DialogLine) -> str:
    ids = [("call-id", line.call_id), ("local-tag", line.local_tag), ("remote-tag", line.remote_tag)]
    named = "".join(f' {name}="{_(value)}"' for name, value in ids if value)
    text = f'<dialog id="{_(line.id)}"{named} direction="{line.direction}">\n<state>{line.state}</state>\n'
    text += f'<local><identity>{_(entity)}</identity><target uri="{_(entity)}"/></local>\n'
    if line.remote:
        shown = f' display="{_(line.remote_name)}"' if line.remote_name else ""
        text += f'<remote><identity{shown}>{_(line.remote)}</identity><target uri="{_(line.remote)}"/></remote>\n'
    return f"{text}</dialog>\n"


def pidf(entity: str, basic: str, note: str) -> bytes:
    """One tuple for the endpoint (EVT-2); `basic` is open or closed."""
    head = f'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="{_(entity)}">'
    status = f"<status><basic>{basic}</basic></status>"
    return f'{_HEAD}{head}\n<tuple id="offhook">{status}<note>{_(note)}</note></tuple>\n</presence>\n'.encode()


def reginfo(aor: str, version: int, lines: Iterable[ContactLine], now: float) -> bytes:
    """The full state: contacts that stand, and those that have just gone."""
    contacts = list(lines)
    state = "active" if any(line.change.active for line in contacts) else "terminated"
    names = 'xmlns="urn:ietf:params:xml:ns:reginfo" xmlns:gr="urn:ietf:params:xml:ns:gruuinfo"'
    body = "".join(_contact(line, now) for line in contacts)
    registration = f'<registration aor="{_(aor)}" id="{_(aor)}" state="{state}">\n{body}</registration>\n'
    return f'{_HEAD}<reginfo {names} version="{version}" state="full">\n{registration}</reginfo>\n'.encode()


def _contact(line: ContactLine, now: float) -> str:
    binding, change = line.binding, line.change
    state = "active" if change.active else "terminated"
    left = f' expires="{max(0, round(binding.expires_at - now))}"' if change.active else ""
    text = f'<contact id="{_(binding.id or binding.call_id)}" state="{state}" event="{change.reg_event}"{left}'
    text += f' q="{binding.q:.3g}">\n<uri>{_(str(binding.contact))}</uri>\n'
    if binding.instance is not None:
        text += f'<unknown-param name="+sip.instance">{_(binding.instance)}</unknown-param>\n'
    if line.gruu and change.active:
        text += f'<gr:pub-gruu uri="{_(line.gruu)}"/>\n'
    return f"{text}</contact>\n"


def message_summary(account: str, new: int, old: int) -> bytes:
    """What waits in the voice mailbox."""
    waiting = "yes" if new else "no"
    return f"Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\nVoice-Message: {new}/{old} (0/0)\r\n".encode()


def _(text: str) -> str:
    """XML text or attribute: what XML 1.0 does not allow is left out."""
    return escape("".join(one for one in text if one.isprintable()))
