"""linphonec, a foreign SIP phone of the Linphone team, driven over its console; it says what a WAV file says."""

import asyncio
import contextlib
import os
import re
import shutil
from pathlib import Path

from interop.support.audio import Tone, read_wav, tone_in
from interop.support.browser import write_tone
from interop.support.ports import free_port
from tests.support.patience import PATIENCE

CONFIG = """\
[sip]
sip_port={port}
sip_tcp_port={tcp}
sip_tls_port=-1
default_proxy=0
media_encryption={encryption}

[rtp]
audio_rtp_port={rtp}

[sound]
echocancellation=0

[proxy_0]
reg_proxy=<sip:{server};transport={transport}>
reg_route=<sip:{server};transport={transport};lr>
reg_identity=sip:{username}@{domain}
reg_expires=600
reg_sendregister=1
publish=0

[auth_info_0]
username={username}
passwd={password}
realm={domain}
domain={domain}

[misc]
store_calls=0
uuid={instance}
"""
VIDEO = """\

[video]
capture=1
display=0
enabled=1
automatically_initiate=1
automatically_accept=1
device=StaticImage: Static picture
size=cif
"""
"""A still picture as the camera; nobody looks at the screen."""
ICE = """\

[net]
nat_policy_ref=all

[nat_policy_0]
ref=all
stun_server=
protocols=ice
"""
"""Candidates of its own addresses, for RTP and for RTCP: it multiplexes by a setting of its programmers only."""
INSTANCE = "0199bbbb-0000-4000-8000-000000000042"
"""Its instance id, which it makes its GRUU of."""


class Linphone:
    """One phone: `async with Linphone(…) as phone`. Its log tells what happens; `expect` waits for the next text there."""

    def __init__(
        self, home: Path, username: str, password: str, domain: str, server: str, tone: int, transport: str = "udp",
        video: bool = False, encryption: str = "none", ice: bool = False,
    ) -> None:  # fmt: skip
        self.home = home / f"linphone-{username}"
        self._transport, self._video, self._encryption, self._ice = transport, video, encryption, ice
        self.username, self.domain = username, domain
        self._password, self._server, self._tone = password, server, tone
        self.log = self.home / "log"
        self._read_to = 0

    async def __aenter__(self) -> "Linphone":
        self.home.mkdir(parents=True)
        program = shutil.which("linphonec")
        assert program, "linphonec is not installed (Debian package linphone-cli)"
        config = self.home / "linphonerc"
        config.write_text(
            CONFIG.format(
                port=free_port(), tcp=free_port(), rtp=free_port(), server=self._server, username=self.username,
                domain=self.domain, password=self._password, transport=self._transport, instance=INSTANCE,
                encryption=self._encryption,
            )
            + (VIDEO if self._video else "")
            + (ICE if self._ice else "")
        )  # fmt: skip
        (self.home / ".local/share/linphone").mkdir(parents=True)
        # Its console does nothing between lines unless it is a terminal.
        self._terminal, other_end = os.openpty()
        self._process = await asyncio.create_subprocess_exec(
            program, "-d", "6", "-l", str(self.log), "-c", str(config), *(("-C",) if self._video else ()),
            env={"HOME": str(self.home), "PATH": "/usr/bin:/bin", "TERM": "dumb"},
            stdin=other_end, stdout=other_end, stderr=other_end,
        )  # fmt: skip
        os.close(other_end)
        asyncio.get_running_loop().add_reader(self._terminal, self._read)
        await self.command("soundcard use files")
        await self.command(f"play {write_tone(self.home / 'tone.wav', self._tone)}")
        await self.command(f"record {self.home / 'heard.wav'}")
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            await self.command("quit")
        try:
            await asyncio.wait_for(self._process.wait(), 5)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._terminal)
        os.close(self._terminal)

    def _read(self) -> None:
        """Its console is not read for anything, but has to be emptied."""
        try:
            os.read(self._terminal, 4096)
        except OSError:
            # The phone is gone.
            asyncio.get_running_loop().remove_reader(self._terminal)

    async def command(self, line: str) -> None:
        """One line of its console."""
        os.write(self._terminal, line.encode() + b"\n")
        await asyncio.sleep(0.3)  # lines that come at once are taken for one

    async def expect(self, pattern: str, within: float = PATIENCE) -> re.Match[str]:
        """The next text in its log that matches, now or within seconds; what came before it is dropped."""
        for _ in range(int(within / 0.05)):
            text = self.log.read_text(errors="replace") if self.log.exists() else ""
            found = re.search(pattern, text[self._read_to :])
            if found is not None:
                self._read_to += found.end()
                return found
            await asyncio.sleep(0.05)  # a file; nothing can be awaited for it
        raise AssertionError(f"{self.username}: no {pattern!r} within {within} s:\n{text[-3000:]}")

    async def registered(self) -> None:
        """Waits for the registration."""
        await self.expect(r"to \[LinphoneRegistrationOk\]")

    async def dial(self, target: str) -> None:
        """Calls a user of the same domain."""
        await self.command(f"call sip:{target}@{self.domain} --audio-only")

    async def answer(self) -> None:
        """Answers the call that rings."""
        await self.command("answer")

    async def in_state(self, state: str) -> None:
        """Waits until a call comes to that state of Linphone's, such as IncomingReceived or StreamsRunning."""
        await self.expect(rf"to LinphoneCall{state}\b")

    async def transfer(self, target: str) -> None:
        """Blind transfer of the current call."""
        await self.command(f"transfer sip:{target}@{self.domain}")

    async def join(self, first: int, second: int) -> None:
        """Attended transfer: the far end of call `first` is sent to that of call `second`, by their numbers in its list."""
        await self.command(f"transfer {first} --to-call {second}")

    def heard(self) -> Tone:
        """The tone in what it received in its latest call."""
        return tone_in(*read_wav(self.home / "heard.wav"))

    async def hang_up(self) -> None:
        """Ends every call."""
        await self.command("terminate all")
