"""Digits between the legs of a call (SIGNALLING.md section 7): events cross inside the engine, the rest is decided here.

Lives here: by which way a leg gets digits, INFO in both directions. Never here: how INFO reads (dtmf.py).

| in / out | RFC 4733 negotiated | only INFO | neither |
|---|---|---|---|
| RFC 4733 | the engine | INFO when the key is let go | the engine, as tone |
| INFO | `SendDigits` | INFO | `SendDigits`, as tone |
| tone in the audio | the engine, heard where no event is agreed | INFO | passes as sound |
| flash by INFO | INFO, if the peer takes it | INFO | goes no further |
"""

from dataclasses import replace

from offhook.calls.call import Call, Effects
from offhook.calls.dtmf import CONTENT_TYPES, FLASH, MEDIA_CONTROL, SAME_PRESS, read_info, write_info
from offhook.calls.effects import RequestKeyFrame, SendDigits, Sip, UpdateMedia
from offhook.calls.leg import Leg
from offhook.sdp.description import Format, Session
from offhook.sdp.offer_answer import EVENT
from offhook.sip.commands import Respond, SendInDialog
from offhook.sip.events import RequestInDialog
from offhook.sip.fields import warning
from offhook.sip.message import Headers, Message

WITHOUT_EVENTS = frozenset({"info", "inband"})
"""Settings of `dtmf` under which telephone-event is neither offered nor answered (DTMF-5)."""
RELAY = Headers([("Content-Type", "application/dtmf-relay")])
KEY_FRAME = b"picture_fast_update"
PICTURE_FAST_UPDATE = (
    b'<?xml version="1.0" encoding="utf-8"?><media_control><vc_primitive><to_encoder><picture_fast_update/>'
    b"</to_encoder></vc_primitive></media_control>"
)
"""RFC 5168 section 7."""
WAITING = 256
"""Presses that wait for the INFO before them: as many as one command of the API may name."""

SHOWN = 100
"""Presses of a leg that are kept for people to see, the last ones: a menu takes a dozen, and a call may last for days."""


def mode(leg: Leg) -> str:
    """DTMF-5: what the trunk or endpoint is set to."""
    if leg.trunk is not None:
        return leg.trunk.dtmf
    return leg.account.dtmf if leg.account is not None else "auto"


def agreeable(leg: Leg, formats: tuple[Format, ...]) -> tuple[Format, ...]:
    """Payload types that may be agreed with this leg."""
    return tuple(one for one in formats if one.name != EVENT) if mode(leg) in WITHOUT_EVENTS else formats


def understood(leg: Leg, session: Session) -> Session:
    """A peer's description without what is not to be agreed."""
    if mode(leg) not in WITHOUT_EVENTS:
        return session
    return replace(session, media=tuple(replace(one, formats=agreeable(leg, one.formats)) for one in session.media))


def learn(leg: Leg, message: Message) -> None:
    """The peer says what it takes (DTMF-5: never guessed from its name)."""
    allowed = {name.strip().upper() for line in message.headers.all("Allow") for name in line.split(",")}
    leg.takes_info = leg.takes_info or "INFO" in allowed
    if allowed - {""}:
        leg.takes_refer = "REFER" in allowed


def by_info(leg: Leg, chosen: tuple[Format, ...] | None = None) -> bool:
    """True for a leg that gets its digits by INFO. `chosen` are the payload types about to be agreed, if others than now."""
    kind = mode(leg)
    if kind != "auto":
        return kind == "info"
    return leg.takes_info and not any(one.name == EVENT for one in (leg.chosen if chosen is None else chosen))


# ---- from a device


def info(call: Call, leg: Leg, event: RequestInDialog, now: float) -> Effects:
    """One INFO, answered before the other side has got anything of it (DTMF-4)."""
    request, transaction = event.request, event.transaction
    content_type = (request.headers.get("Content-Type") or "").split(";")[0].strip().lower()
    if not _within_rate(leg, call.config.info_rate, now):
        return [Sip(Respond(transaction, 500, Headers([("Retry-After", "1")])))]
    if content_type == MEDIA_CONTROL or not request.body:
        asked = KEY_FRAME in request.body.lower()
        return [Sip(Respond(transaction, 200)), *(_key_frame(call, leg) if asked else [])]
    if content_type not in CONTENT_TYPES:
        accept = ", ".join((*CONTENT_TYPES, MEDIA_CONTROL))
        return [Sip(Respond(transaction, 415, Headers([("Accept", accept)])))]
    press = read_info(content_type, request.body)
    if press is None:
        text = warning(
            call.config.domain, "request-malformed", "The INFO body names no digit 0-9 * # A-D and no flash (16)"
        )
        return [Sip(Respond(transaction, 400, Headers([("Warning", text)])))]
    answered: Effects = [Sip(Respond(transaction, 200))]
    if not took_press(leg, press.digit, press.milliseconds, "info", now):
        return answered
    told = call.happened("call.digit", leg, digit=press.digit, ms=str(press.milliseconds), method="info")
    if press.digit == FLASH:
        return [*answered, told, *_flash_towards(call, leg, press.milliseconds)]
    return [*answered, told, *_listen_no_more(leg), *_towards(call, leg, press.digit, press.milliseconds, False, now)]


def _key_frame(call: Call, leg: Leg) -> Effects:
    """RFC 5168: the other side's picture is asked for anew; where there is none, nothing is to be done."""
    peer = call.peer_of(leg)
    if peer is None or peer.media is None or not peer.video_chosen:
        return []
    return [RequestKeyFrame(peer.media.leg)]


def key_frame_wanted(leg: Leg) -> Effects:
    """The other side needs a whole picture, and this peer understands no RTCP that asks for one: it is told by INFO, if
    nothing else waits to be told."""
    if not leg.takes_info or leg.infos_out:
        return []
    leg.infos_out = True
    return [Sip(SendInDialog(leg.usage, "INFO", Headers([("Content-Type", MEDIA_CONTROL)]), PICTURE_FAST_UPDATE))]


def _within_rate(leg: Leg, rate: float, now: float) -> bool:
    """INFO_RATE, per dialog; a second's worth at once."""
    tokens, at = leg.info_tokens or (rate, now)
    tokens = min(rate, tokens + (now - at) * rate)
    leg.info_tokens = (tokens - 1 if tokens >= 1 else tokens, now)
    return tokens >= 1


def _listen_no_more(leg: Leg) -> Effects:
    """DTMF-1: INFO owns the leg now; a tone beside it would be the same press again."""
    if leg.offer is None or leg.media is None or not leg.offer.detect_digits:
        return []
    leg.offer = replace(leg.offer, detect_digits=False)
    return [UpdateMedia(leg.media.leg, leg.offer)]


def heard(call: Call, leg: Leg, digit: str, milliseconds: int, method: str, now: float) -> Effects:
    """The engine has heard a press, and has passed it on where events or tones go."""
    if not took_press(leg, digit, milliseconds, method, now):
        return []
    told = call.happened("call.digit", leg, digit=digit, ms=str(milliseconds), method=method)
    tone = _as_tone(call, leg, "from_device", now) if method not in ("rfc4733", "info") else []
    return [told, *tone, *_towards(call, leg, digit, milliseconds, True, now)]


def took_press(leg: Leg, digit: str, milliseconds: int, method: str, now: float) -> bool:
    """DTMF-1: the same digit by a second method within 250 ms is the same press; True if it counts."""
    last = leg.last_press
    if last is not None and last[0] == digit and last[1] != method and now - last[2] < SAME_PRESS + milliseconds / 1000:
        return False
    leg.last_press = (digit, method, now)
    leg.digits.append((digit, milliseconds, method))
    del leg.digits[:-SHOWN]
    return True


# ---- to a device


def press(call: Call, leg: Leg, text: str, milliseconds: int, now: float) -> Effects:
    """Digits of ours, by the way that this leg gets them."""
    if leg.media is None or not leg.confirmed:
        return []
    if by_info(leg):
        return [effect for digit in text for effect in _say(leg, write_info(digit, milliseconds))]
    return [SendDigits(leg.media.leg, text, milliseconds), *_as_tone(call, leg, "to_device", now)]


def _towards(call: Call, leg: Leg, digit: str, milliseconds: int, engine: bool, now: float) -> Effects:
    peer = call.peer_of(leg)
    if peer is None or peer is leg or peer.media is None:
        return []
    if by_info(peer):
        return _say(peer, write_info(digit, milliseconds))
    told = _as_tone(call, peer, "to_device", now)
    return told if engine else [SendDigits(peer.media.leg, digit, milliseconds), *told]


def _flash_towards(call: Call, leg: Leg, milliseconds: int) -> Effects:
    """A flash has no sound, and the engine sends digits only: whoever takes INFO gets it so, unless set to another way."""
    peer = call.peer_of(leg)
    if peer is None or peer is leg or not (by_info(peer) or (peer.takes_info and mode(peer) == "auto")):
        return []
    return _say(peer, write_info(FLASH, milliseconds))


UNAGREED = "dtmf_not_negotiated"


def _as_tone(call: Call, leg: Leg, direction: str, now: float) -> Effects:
    """Digits cross as sound because no telephone-event is agreed, which codecs and loss spoil: worth a word, once, unless
    the leg is set to it."""
    if mode(leg) == "inband" or any(one.name == EVENT for one in leg.chosen) or leg.has_finding(UNAGREED):
        return []
    agreed = ", ".join(one.name for one in leg.chosen)
    leg.add_finding(UNAGREED, direction, "digits", {"agreed": agreed}, now)
    return [call.happened("call.finding_raised", leg, code=UNAGREED, verdict="digits", direction=direction)]


def _say(leg: Leg, body: bytes) -> Effects:
    """One INFO at a time, so that digits arrive in order."""
    if leg.infos_out:
        if len(leg.infos) < WAITING:
            leg.infos.append(body)
        return []
    leg.infos_out = True
    return [Sip(SendInDialog(leg.usage, "INFO", RELAY, body))]


def answered(leg: Leg) -> Effects:
    """An INFO of ours has its answer, or will have none; the next may go."""
    leg.infos_out = False
    return _say(leg, leg.infos.pop(0)) if leg.infos else []
