"""baresip, a foreign SIP phone, driven over its control socket: netstrings of JSON."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interop.support.audio import Tone, read_wav, tone_in, until_tone
from interop.support.ports import free_port
from interop.support.process import end
from tests.support.patience import PATIENCE

CONFIG = """\
sip_listen              127.0.0.1:{sip}
call_local_timeout      120
call_max_calls          4
audio_player            aubridge,nowhere
audio_source            ausine,{tone}
audio_alert             aubridge,alert
audio_level             no
audio_txmode            thread
ausrc_srate             48000
ausrc_channels          2
auplay_srate            48000
rtp_ports               {rtp}-{rtp_end}
rtcp_mux                {mux}
jitter_buffer_delay     1-5
ctrl_tcp_listen         127.0.0.1:{control}
snd_path                {sounds}
opus_bitrate            28000
dns_server              127.0.0.1:9
module_path             {modules}
module                  {codec}.so
module                  ausine.so
module                  aubridge.so
module                  sndfile.so
module                  uuid.so
module                  srtp.so
module                  dtls_srtp.so
module_tmp              account.so
module_app              menu.so
module_app              ctrl_tcp.so
"""

VIDEO = """\
module                  {codec}.so
module                  fakevideo.so
module                  snapshot.so
video_source            fakevideo,nil
video_display           fakevideo,nil
video_size              352x288
video_bitrate           256000
video_fps               15
videnc_format           yuv420p
"""
"""A camera that draws by itself, a screen that nobody looks at, and a picture of it on demand."""

VIDEO_MODULES = {"VP8": "vp8", "H264": "avcodec"}

MODULES = {"PCMU": "g711", "PCMA": "g711", "G722": "g722", "opus": "opus"}


class Baresip:
    """One phone: `async with Baresip(…) as phone`. Events are kept in order; `expect` waits for the next of a type."""

    def __init__(
        self,
        home: Path,
        username: str,
        password: str,
        domain: str,
        server: str,
        transport: str = "udp",
        codec: str = "PCMU/8000/1",
        tone: int = 700,
        encryption: str = "",
        contact: str = "",
        watches: bool = False,
        auth_user: str = "",
        video: str = "",
        ice: bool = False,
        mux: bool = False,
    ) -> None:
        self.home = home / f"baresip-{username}"
        self.username, self.domain = username, domain
        self._password, self._server, self._transport = password, server, transport
        self._codec, self._tone, self._encryption = codec, tone, encryption
        self._contact, self._watches, self._video = contact, watches, video
        self._auth_user = auth_user or username
        self._ice, self._mux = ice, mux
        # The next port is taken for TLS.
        self.sip_port, self._control = free_port(count=2), free_port()
        self._events: list[dict[str, Any]] = []
        self._news = asyncio.Condition()

    async def __aenter__(self) -> "Baresip":
        self.home.mkdir(parents=True)
        self._write_config()
        binary = shutil.which("baresip")
        assert binary, "baresip is not installed (Debian package baresip)"
        self.log = (self.home / "log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            binary, "-f", str(self.home), stdin=asyncio.subprocess.PIPE, stdout=self.log, stderr=self.log
        )
        self._reader, self._writer = await self._connect()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        with contextlib.suppress(ConnectionError):
            self._writer.close()
        await end(self._process)
        self.log.close()

    def _write_config(self) -> None:
        modules = Path("/usr/lib/baresip/modules")
        sounds = self.home / "sounds"
        sounds.mkdir()
        rtp = free_port(count=42)
        (self.home / "config").write_text(
            CONFIG.format(
                sip=self.sip_port,
                tone=self._tone,
                rtp=rtp,
                rtp_end=rtp + 40,
                control=self._control,
                sounds=sounds,
                modules=modules,
                codec=MODULES[self._codec.split("/")[0]],
                mux="yes" if self._mux else "no",
            )
        )
        if self._ice:
            # Without `mux` candidates for RTP and for RTCP.
            with (self.home / "config").open("a") as config:
                config.write("module                  ice.so\n")
        if self._video:
            with (self.home / "config").open("a") as config:
                config.write(VIDEO.format(codec=VIDEO_MODULES[self._video]))
        if self._contact:
            # Whom it writes to, and watches. Not its mailbox: refused once, the module mwi asks again without a pause
            # and keeps the phone from all else (baresip/baresip#2726).
            more = ("contact", "presence") if self._watches else ("contact",)
            with (self.home / "config").open("a") as config:
                config.writelines(f"module_app {name}.so\n" for name in more)
            address = f"<sip:{self._contact}@{self.domain}>"
            (self.home / "contacts").write_text(
                f'"{self._contact}" {address}{";presence=p2p" if self._watches else ""}\n'
            )
            (self.home / "current_contact").write_text(f"sip:{self._contact}@{self.domain}")
        account = (
            f"<sip:{self.username}@{self.domain};transport={self._transport}>;auth_user={self._auth_user};auth_pass={self._password}"
            f';outbound="sip:{self._server};lr;transport={self._transport}";regint=600'
            f";audio_codecs={self._codec};dtmfmode=rtpevent;answermode=manual;sipnat=none"
            + (f";mediaenc={self._encryption}" if self._encryption else "")
            + (f";video_codecs={self._video}" if self._video else "")
            + (";medianat=ice" if self._ice else "")
            + "\n"
        )
        (self.home / "accounts").write_text(account)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(int(PATIENCE / 0.05)):
            if self._process.returncode is not None:
                break
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self._control)
            await asyncio.sleep(0.05)  # nothing announces that the control socket listens
        raise AssertionError(f"baresip did not start: {(self.home / 'log').read_text(errors='replace')[-2000:]}")

    async def _read(self) -> None:
        while True:
            size = int((await self._reader.readuntil(b":"))[:-1])
            data = await self._reader.readexactly(size + 1)
            async with self._news:
                self._events.append(json.loads(data[:-1]))
                self._news.notify_all()

    async def command(self, name: str, params: str = "") -> None:
        """Sends one command; its effect shows in the events."""
        body = json.dumps({"command": name, "params": params}).encode()
        self._writer.write(f"{len(body)}:".encode() + body + b",")
        await self._writer.drain()

    async def expect(
        self, kind: str, where: Callable[[dict[str, Any]], bool] = lambda _: True, within: float = PATIENCE
    ) -> dict[str, Any]:
        """The next event of that type, now or within seconds; earlier ones are dropped."""

        def taken() -> dict[str, Any] | None:
            for at, event in enumerate(self._events):
                if event.get("type") == kind and where(event):
                    del self._events[: at + 1]
                    return event
            return None

        found: dict[str, Any] | None = None
        async with self._news:
            try:
                async with asyncio.timeout(within):
                    while (found := taken()) is None:
                        await self._news.wait()
            except TimeoutError:
                seen = [event.get("type") for event in self._events]
                tail = (self.home / "log").read_text(errors="replace")[-3000:]
                raise AssertionError(f"{self.username}: no {kind} within {within} s; saw {seen}\n{tail}") from None
        return found

    async def registered(self) -> None:
        """Waits for the registration, which may be over before the control socket is: the phone's log tells of both."""
        log = self.home / "log"
        for _ in range(int(PATIENCE / 0.05)):
            if f"{self.username}@{self.domain}: {{0/".encode() in log.read_bytes():
                return
            await asyncio.sleep(0.05)  # a file; nothing can be awaited for it
        raise AssertionError(f"{self.username} did not register: {log.read_text(errors='replace')[-2000:]}")

    async def dial(self, target: str) -> None:
        """Calls a user of the same domain, or a whole URI."""
        await self.command("dial", target if ":" in target else f"sip:{target}@{self.domain}")

    async def answer(self) -> None:
        """Answers the call that rings."""
        await self.command("accept")

    async def hang_up(self) -> None:
        """Ends, refuses or gives up the current call."""
        await self.command("hangup")

    async def press(self, digits: str) -> None:
        """Digits by RFC 4733, one after the other."""
        for digit in digits:
            await self.command("sndcode", digit)
            await asyncio.sleep(0.35)  # a press has a length; baresip sends one at a time

    async def transfer(self, target: str) -> None:
        """Blind transfer of the current call."""
        await self.command("transfer", f"sip:{target}@{self.domain}")

    async def write(self, text: str) -> None:
        """A text to the contact."""
        await self.command("message", text)

    async def logged(self, text: str, within: float = PATIENCE) -> None:
        """Waits until the phone has written this to its terminal."""
        for _ in range(int(within / 0.05)):
            if text.encode() in (self.home / "log").read_bytes():
                return
            await asyncio.sleep(0.05)  # a file; nothing can be awaited for it
        raise AssertionError(f"no {text!r}: {(self.home / 'log').read_text(errors='replace')[-2000:]}")

    async def snapshot(self, within: float = PATIENCE) -> bytes:
        """The picture that it shows, as PNG, once there is one."""
        path = self.home / "shown.png"
        for _ in range(int(within / 0.5)):
            path.unlink(missing_ok=True)
            await self.command("snapshot_recv", str(path))
            await asyncio.sleep(0.5)  # it is taken with the next picture, and nothing tells of it
            if path.exists() and path.read_bytes().endswith(b"IEND\xaeB`\x82"):
                return path.read_bytes()
        raise AssertionError(
            f"{self.username} shows nothing: {(self.home / 'log').read_text(errors='replace')[-2000:]}"
        )

    async def hears(self, frequency: float, seconds: float = 2.0) -> Tone:
        """Waits until the phone receives that tone, whole for so many seconds."""
        return await until_tone(self.heard_now, frequency, seconds)

    async def hears_nothing(self, seconds: float = 1.5) -> None:
        """Waits until for so many seconds the phone has received no sound."""
        async with asyncio.timeout(PATIENCE):
            while (await self.heard_now(seconds)).level_db >= -50:
                pass

    async def heard_now(self, seconds: float = 2.0) -> Tone:
        """The tone in what the phone receives during the next seconds."""
        latest = max((self.home / "sounds").glob("*dec*.wav"), key=lambda path: path.stat().st_mtime)
        before = len(read_wav(latest)[0])
        await asyncio.sleep(seconds)  # sound has to flow before there is anything to measure
        samples, rate = read_wav(latest)
        return tone_in(samples[before:], rate)

    def recording(self) -> tuple[NDArray[np.float64], int]:
        """Samples and rate of what the phone received in its latest call."""
        recordings = sorted((self.home / "sounds").glob("*dec*.wav"), key=lambda path: path.stat().st_mtime)
        assert recordings, f"{self.username} recorded nothing"
        return read_wav(recordings[-1])

    def heard(self) -> Tone:
        """The tone in what the phone received in its latest call."""
        return tone_in(*self.recording())
