"""Which addresses the description of a peer may lead our media to (MEDIA.md section 9, rule 6), as far as signalling tells.

Lives here: private addresses named by a trunk that is outside. Never here: addresses that nobody may name (the engine).
"""

from dataclasses import replace
from ipaddress import ip_address

from offhook.calls.leg import Leg
from offhook.calls.ports import LegRemote
from offhook.calls.signs import private
from offhook.sip.address_policy import inner

SETTING = "media.private_addresses_of_trunks"


def permitted(leg: Leg, remote: LegRemote) -> LegRemote:
    """The peer's half without the addresses that this peer may not name: nothing is sent there. Where its packets really
    come from is learnt from them, as of any peer that names no address."""
    video = remote.video
    if video is not None and _refused(leg, video.address):
        remote = replace(remote, video=replace(video, address=""))
    return replace(remote, address="") if _refused(leg, remote.address) else remote


def of_refusal(leg: Leg) -> dict[str, str]:
    """The facts, if the peer's sound has no address to go to because of that; else nothing."""
    announced = leg.audio.address if leg.audio is not None else ""
    if not _refused(leg, announced):
        return {}
    return {"c_line": announced, "source": leg.flow.remote[0], "setting": SETTING}


def _refused(leg: Leg, announced: str) -> bool:
    return leg.trunk is not None and not leg.trunk.private_media and private(announced) and _outside(leg.flow.remote[0])


def _outside(address: str) -> bool:
    """True for a peer whose signalling comes from the internet: an inner machine may name what it reaches itself."""
    try:
        return not private(address) and not inner(ip_address(address)).is_loopback
    except ValueError:
        return False
