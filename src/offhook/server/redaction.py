"""Messages without their secrets, of the same length, so that lengths, offsets and Content-Length stay true.

Hidden: what proves an identity (digest responses, tokens, passwords in URIs), what opens media (SDES keys, ICE passwords).
Shown: nonces, user names, Replaces tags, fingerprints; without them an exchange cannot be understood.
"""

import re
from dataclasses import replace

from offhook.calls.effects import Happened

_PROOF = re.compile(rb'(?i)\b((?:response|rspauth)\s*=\s*"?)([^"\s,]+)')
_AUTHORIZATION = re.compile(rb"(?im)^((?:proxy-)?authorization\s*:\s*)(\S+)([^\r\n]*)")
_NAMED = re.compile(
    rb"(?im)^((?!www-auth|proxy-auth|authenti|authori)[\w-]*(?:token|secret|passw|auth|api-?key|jwt|cookie)[\w-]*\s*:\s*)([^\r\n]+)"
)
_SDES = re.compile(rb"(?im)(^a=crypto:[^\r\n]*?inline:)([^\s|;]+)")
_ICE = re.compile(rb"(?im)(^a=ice-pwd:)(\S+)")
_KEY = re.compile(rb"(?im)(^k=)(\S+)")
_PARAMETER = re.compile(rb"(?i)([;?&](?:access_token|token|password|pn-prid)=)([^;&>\s,\"]+)")
_PASSWORD = re.compile(rb"(?i)(\bsips?:[^\s:@;>\"]+:)([^\s@;>\"/]+)(?=@)")
_JWT = re.compile(rb"(eyJ)([\w-]{8,}\.[\w-]+\.[\w-]*)")


def without_secrets(data: bytes) -> bytes:
    """The message as it may be shown."""
    data = _AUTHORIZATION.sub(_credentials, data)
    for pattern in (_PROOF, _NAMED, _SDES, _ICE, _KEY, _PARAMETER, _PASSWORD, _JWT):
        data = pattern.sub(_stars, data)
    return data


def _stars(found: re.Match[bytes]) -> bytes:
    return found.group(1) + b"*" * len(found.group(2))


def _credentials(found: re.Match[bytes]) -> bytes:
    field, scheme, rest = found.groups()
    if scheme.lower() == b"digest":
        return found.group()
    shown = rest[: len(rest) - len(rest.lstrip())]
    return bytes(field + scheme + shown + b"*" * len(rest.lstrip()))


def without_digits(event: Happened) -> Happened:
    """The event as the log may have it: keys that are pressed in a call are often a PIN or a card's number."""
    if event.type != "call.digit":
        return event
    return replace(event, details=tuple(one for one in event.details if one[0] != "digit"))
