"""What a leg's signalling says about a silence that the engine found: private addresses, routers that rewrite messages, and
devices that want ICE where we have none.

Lives here: guesses from descriptions (API.md section 14). Never here: the engine's verdicts (heard.py).
"""

import ipaddress

from offhook.calls.leg import Leg
from offhook.sip.address_policy import inner

PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"),
    )
)
"""RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291: what only the device's own network can reach."""


def private(address: str) -> bool:
    """True for an address that leads to nowhere from outside."""
    try:
        one = inner(ipaddress.ip_address(address.strip("[]")))
    except ValueError:
        return False
    return any(one in network for network in PRIVATE if network.version == one.version)


def of_ice(leg: Leg) -> tuple[str, dict[str, str]] | None:
    """It asks for ICE as we do not have it (for two components, or for plain RTP) and was answered without. Then media goes
    to the addresses of the lines (RFC 8839 section 4.2.5); devices exist that send nothing at all."""
    audio = leg.audio
    if audio is None or audio.webrtc or not audio.ufrag:
        return None
    return "ice_not_agreed", {"candidates": str(audio.candidates), "rtcp_mux": "yes" if audio.rtcp_mux else "no"}


def of_handshake(leg: Leg) -> tuple[str, dict[str, str]] | None:
    """It says that nothing is to begin (RFC 4145 section 4), which DTLS-SRTP does not know (RFC 5763 section 5), and we wait
    for it: nobody begins the handshake."""
    audio = leg.audio
    if audio is None or not audio.handshake or audio.setup != "holdconn":
        return None
    return "dtls_failed", {"setup": audio.setup}


def of_silence(leg: Leg) -> tuple[str, dict[str, str]] | None:
    """Why nothing ever came from a phone: a code of the catalogue and its facts; None where the addresses tell nothing.

    A phone that announces another private address than that of its messages sends through a NAT it does not know of. One
    whose o= line still has the private address, while c= has the one that its messages come from, was rewritten by a
    router: what a phone finds out by itself stands in both.
    """
    audio, source = leg.audio, leg.flow.remote[0]
    if audio is None or audio.webrtc or leg.remote is None:
        return None
    written, announced = leg.remote.origin, audio.address
    evidence = {"c_line": announced, "source": source}
    if private(announced):
        return None if announced == source else ("sdp_address_private", evidence)
    readable = not leg.flow.secure
    if readable and announced == source and private(written):
        return "sip_alg_suspected", {**evidence, "o_line": written}
    return None
