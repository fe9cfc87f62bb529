"""rtpengine's ng control protocol, as much as a call of two plain legs needs: bencoded maps over UDP, offer and answer."""

import secrets
import socket

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

    def __init__(self, port: int, timeout: float = 2.0) -> None:
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

    def open_call(self, name: str, ports: tuple[int, int]) -> tuple[int, int]:
        """A call of two PCMU legs at `ports` of 127.0.0.1; the port of rtpengine that each leg sends to."""
        tags: dict[str, Value] = {"call_id": name, "from_tag": "a", "replace": ["origin"], "ICE": "remove"}
        far = self.request("offer", sdp=_describe(ports[0]), **tags)
        near = self.request("answer", to_tag="b", sdp=_describe(ports[1]), **tags)
        return _audio_port(near), _audio_port(far)


def _describe(port: int) -> str:
    lines = (
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m=audio {port} RTP/AVP 0",
        "a=rtpmap:0 PCMU/8000",
        "a=ptime:20",
        "a=sendrecv",
    )
    return "".join(line + "\r\n" for line in lines)


def _audio_port(answer: dict[str, Value]) -> int:
    sdp = answer.get("sdp")
    if isinstance(sdp, bytes):
        for line in sdp.decode().splitlines():
            if line.startswith("m=audio "):
                return int(line.split()[1])
    raise RuntimeError(f"no audio in rtpengine's answer: {answer!r}")
