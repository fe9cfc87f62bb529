"""rtpengine's ng control protocol, as much as a call of two legs needs: bencoded maps over UDP, offer and answer."""

import base64
import secrets
import socket

KEY_OCTETS = {"AES_CM_128_HMAC_SHA1_80": 30, "AEAD_AES_128_GCM": 28}
"""Master key and salt (RFC 4568 section 6.2, RFC 7714 section 12)."""
WEBRTC = "webrtc"
"""Instead of a suite: the leg is a browser, with ICE and DTLS."""

Value = int | bytes | str | list["Value"] | dict[str, "Value"]


def encode(value: Value) -> bytes:
    """Bencode; maps in the order of their keys."""
    match value:
        case int():
            return b"i%de" % value
        case str():
            return encode(value.encode())
        case bytes():
            return b"%d:%s" % (len(value), value)
        case list():
            return b"l" + b"".join(encode(item) for item in value) + b"e"
    return b"d" + b"".join(encode(key) + encode(item) for key, item in sorted(value.items())) + b"e"


def decode(data: bytes) -> Value:
    """The one value of a frame. Raises ValueError for what is not bencode."""
    value, rest = _decode(data)
    if rest:
        raise ValueError("octets after the value")
    return value


def _decode(data: bytes) -> tuple[Value, bytes]:
    kind = data[:1]
    if kind == b"i":
        digits, _, rest = data[1:].partition(b"e")
        return int(digits), rest
    if kind == b"l":
        return _decode_items(data[1:])
    if kind == b"d":
        items, rest = _decode_items(data[1:])
        keys = [key.decode() for key in items[::2] if isinstance(key, bytes)]
        return dict(zip(keys, items[1::2], strict=True)), rest
    size, colon, rest = data.partition(b":")
    if not colon or int(size) > len(rest):
        raise ValueError("a string that is cut off")
    return rest[: int(size)], rest[int(size) :]


def _decode_items(data: bytes) -> tuple[list[Value], bytes]:
    items = []
    while not data.startswith(b"e"):
        item, data = _decode(data)
        items.append(item)
    return items, data[1:]


class NgClient:
    """One rtpengine. Methods raise OSError (TimeoutError after `timeout` seconds) and RuntimeError for a refusal."""

    def __init__(self, port: int, timeout: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(timeout)
        self._socket.connect(("127.0.0.1", port))

    def close(self) -> None:
        """Closes the socket; calls stay."""
        self._socket.close()

    def request(self, command: str, **fields: Value) -> dict[str, Value]:
        """One command and its answer; `_` in a name stands for `-`."""
        cookie = secrets.token_hex(8).encode()
        body: dict[str, Value] = {"command": command, **{name.replace("_", "-"): v for name, v in fields.items()}}
        self._socket.send(cookie + b" " + encode(body))
        while True:
            got, _, frame = self._socket.recv(65_535).partition(b" ")
            if got == cookie:
                break
        answer = decode(frame)
        if not isinstance(answer, dict) or answer.get("result") not in (b"ok", b"pong"):
            raise RuntimeError(f"rtpengine refused {command}: {answer!r}")
        return answer

    def open_call(self, name: str, ports: tuple[int, int], suite: str = "") -> tuple[str, str]:
        """A call of two PCMU legs at `ports` of 127.0.0.1, the second one SRTP with a `suite`: for each leg the port of
        rtpengine that it sends to, and suite and keys (ours, its) in hex if it is secured."""
        tags: dict[str, Value] = {"call_id": name, "from_tag": "a", "replace": ["origin"], "ICE": "remove"}
        if not suite:
            far = self.request("offer", sdp=describe(ports[0]), **tags)
            near = self.request("answer", to_tag="b", sdp=describe(ports[1]), **tags)
            return str(_audio_port(near)), str(_audio_port(far))
        far = self.request("offer", sdp=describe(ports[0]), transport_protocol="RTP/SAVP", DTLS="off", **tags)
        tag, its = _crypto(far, suite)
        ours = new_key(suite)
        line = f"a=crypto:{tag} {suite} inline:{base64.b64encode(bytes.fromhex(ours)).decode()}"
        sdp = describe(ports[1], "RTP/SAVP", extra=(line,))
        near = self.request("answer", to_tag="b", sdp=sdp, transport_protocol="RTP/AVP", **tags)
        return str(_audio_port(near)), f"{_audio_port(far)} {suite} {ours} {its}"

    def open_webrtc(self, name: str, ports: tuple[int, int], fingerprint: str) -> tuple[str, str]:
        """The same with a browser on the second leg: the ports, and credentials of ICE behind the second."""
        tags: dict[str, Value] = {"call_id": name, "from_tag": "a", "replace": ["origin"]}
        secured: dict[str, Value] = {
            "ICE": "force", "transport_protocol": "UDP/TLS/RTP/SAVPF", "rtcp_mux": ["offer", "require"],
        }  # fmt: skip
        far = self.request("offer", sdp=describe(ports[0]), **secured, **tags)
        ufrag, password = new_credentials()
        extra = (
            f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{password}", f"a=fingerprint:sha-256 {fingerprint}", "a=setup:active",
            "a=rtcp-mux", f"a=candidate:1 1 udp 2130706431 127.0.0.1 {ports[1]} typ host",
        )  # fmt: skip
        sdp = describe(ports[1], "UDP/TLS/RTP/SAVPF", extra=extra)
        plain: dict[str, Value] = {"ICE": "remove", "transport_protocol": "RTP/AVP", "rtcp_mux": ["demux"]}
        near = self.request("answer", to_tag="b", sdp=sdp, **plain, **tags)
        its = _attribute(far, "ice-ufrag"), _attribute(far, "ice-pwd")
        return str(_audio_port(near)), f"{_audio_port(far)} {WEBRTC} {ufrag} {password} {its[0]} {its[1]}"

    def open_transcoded(self, name: str, ports: tuple[int, int]) -> tuple[int, int, int]:
        """A call from PCMU to Opus: the ports to send to, and Opus's payload type."""
        tags: dict[str, Value] = {"call_id": name, "from_tag": "a", "replace": ["origin"], "ICE": "remove"}
        codec: dict[str, Value] = {"transcode": ["opus"], "mask": ["PCMU"]}
        far = self.request("offer", sdp=describe(ports[0]), codec=codec, **tags)
        pt = int(next(one for one in _lines(far) if "opus" in one).partition(":")[2].split()[0])
        sdp = describe(ports[1], formats=str(pt), extra=(f"a=rtpmap:{pt} opus/48000/2",))
        near = self.request("answer", to_tag="b", sdp=sdp, **tags)
        return _audio_port(near), _audio_port(far), pt


def new_key(suite: str) -> str:
    """Master key and salt in hex."""
    return secrets.token_hex(KEY_OCTETS[suite])


def new_credentials() -> tuple[str, str]:
    """User name fragment and password of ICE (RFC 8445 section 5.3)."""
    return secrets.token_hex(4), secrets.token_hex(12)


def describe(port: int, profile: str = "RTP/AVP", formats: str = "0", extra: tuple[str, ...] = ()) -> str:
    """One audio line at 127.0.0.1."""
    lines = (
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m=audio {port} {profile} {formats}",
        *(("a=rtpmap:0 PCMU/8000",) if formats == "0" else ()),
        *extra,
        "a=ptime:20",
        "a=sendrecv",
    )
    return "".join(line + "\r\n" for line in lines)


def _lines(answer: dict[str, Value]) -> list[str]:
    sdp = answer.get("sdp")
    return sdp.decode().splitlines() if isinstance(sdp, bytes) else []


def _crypto(answer: dict[str, Value], suite: str) -> tuple[str, str]:
    """(tag, key in hex) of the suite's line."""
    for line in _lines(answer):
        name, _, rest = line.partition(" ")
        if name.startswith("a=crypto:") and rest.split()[0] == suite:
            material = rest.partition("inline:")[2].split("|")[0]
            return name.removeprefix("a=crypto:"), base64.b64decode(material + "=" * (-len(material) % 4)).hex()
    raise RuntimeError(f"rtpengine offers no {suite}: {answer!r}")


def _attribute(answer: dict[str, Value], name: str) -> str:
    for line in _lines(answer):
        if line.startswith(f"a={name}:"):
            return line.partition(":")[2]
    raise RuntimeError(f"no {name} in rtpengine's answer: {answer!r}")


def _audio_port(answer: dict[str, Value]) -> int:
    for line in _lines(answer):
        if line.startswith("m=audio "):
            return int(line.split()[1])
    raise RuntimeError(f"no audio in rtpengine's answer: {answer!r}")
