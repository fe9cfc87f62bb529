"""A description to text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One m= line as it is written; `attributes` without `a=`."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[str, ...] = ()


def encode(
    session_id: int, version: int, address: str, lines: list[Line], webrtc: bool, bundle: tuple[str, ...]
) -> bytes:
    """`v o s [c] t` and the lines; a browser's description also says ice-lite and BUNDLE."""
    family = "IP6" if ":" in address else "IP4"
    out = ["v=0", f"o=- {session_id} {version} IN {family} {address}", "s=-", f"c=IN {family} {address}", "t=0 0"]
    if webrtc:
        out.append("a=ice-lite")
        if bundle:
            out.append(f"a=group:BUNDLE {' '.join(bundle)}")
        out.append("a=msid-semantic: WMS *")
    for line in lines:
        out.append(f"m={line.kind} {line.port} {line.protocol} {' '.join(line.formats)}")
        out += [f"a={one}" for one in line.attributes]
    return ("\r\n".join(out) + "\r\n").encode()
