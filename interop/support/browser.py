"""A real browser with unmodified JsSIP or SIP.js on a page of the server; interop/browser/ holds the other half."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import wave
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from interop.support.audio import Tone, tone_in, until_tone
from tests.support.patience import PATIENCE

AGENT = Path(__file__).parent.parent / "browser" / "agent.mjs"
PROGRAMS = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "firefox": ("firefox-esr", "firefox")}
LONGEST_LINE = 64 << 20


def write_tone(path: Path, frequency: float, seconds: float = 10.0, level_db: float = -12.0) -> Path:
    """A WAV file for Chromium's fake microphone, 48 kHz mono, that loops without a click."""
    rate = 48_000
    time = np.arange(int(rate * seconds)) / rate
    samples = (np.sin(2 * np.pi * frequency * time) * 32767 * 10 ** (level_db / 20)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


class Page:
    """One page (one browser context) with a SIP library. Times in seconds."""

    def __init__(self, browser: "Browser", name: str, library: str) -> None:
        self._browser, self.name, self._library = browser, name, library

    async def run(self, code: str, args: Any = None, within: float = PATIENCE) -> Any:
        """Evaluates an expression with `agent` and `args` in reach."""
        return await self._browser.ask("run", within, page=self.name, code=code, args=args)

    async def start(self, url: str, uri: str, password: str, via: str = "", **more: Any) -> None:
        """Connects and registers; `expect("registered")` tells when. `via` is JsSIP's `via_transport`."""
        username = uri.removeprefix("sip:").split("@")[0]
        options = {"url": url, "uri": uri, "username": username, "password": password, "via": via, "more": more}
        await self.run(f"await agent.{self._library}.start(args)", options)

    async def expect(self, event: str, within: float = PATIENCE) -> dict[str, Any]:
        """The next event of that type; earlier ones are dropped."""
        return dict(await self.run(f"await agent.expect('{event}', {within})", within=within + PATIENCE))

    async def call(self, target: str) -> None:
        await self.run(f"await agent.{self._library}.call(args)", target)

    async def answer(self) -> None:
        await self.run(f"await agent.{self._library}.answer()")

    async def hang_up(self) -> None:
        await self.run(f"await agent.{self._library}.hangUp()")

    async def hold(self) -> None:
        """Puts the peer on hold; returns when the server has answered."""
        await self.run(f"await agent.{self._library}.hold()")

    async def resume(self) -> None:
        """Takes the peer back; returns when the server has answered."""
        await self.run(f"await agent.{self._library}.resume()")

    async def refer(self, target: str) -> None:
        """Blind transfer of the present call."""
        await self.run(f"await agent.{self._library}.refer(args)", target)

    async def consult(self, target: str) -> None:
        """Holds the present call and makes a second one."""
        await self.run(f"await agent.{self._library}.consult(args)", target)

    async def transfer(self) -> None:
        """Joins the far ends of the two calls."""
        await self.run(f"await agent.{self._library}.transfer()")

    async def digits(self, text: str, method: str = "RFC2833") -> None:
        await self.run(f"await agent.{self._library}.digits(args.text, args.method)", {"text": text, "method": method})

    async def heard(self, seconds: float = 3.0) -> Tone:
        """The tone in what the page receives during the next seconds."""
        recording = await self.run(f"await agent.record({seconds})", within=seconds + PATIENCE)
        samples = np.frombuffer(base64.b64decode(recording["pcm"]), dtype="<i2").astype(np.float64) / 32768
        return tone_in(samples, int(recording["rate"]))

    async def hears(self, frequency: float, seconds: float = 2.0) -> Tone:
        """Waits until the page receives that tone, whole for so many seconds."""
        return await until_tone(self.heard, frequency, seconds)

    async def receives(self, packets: int = 80) -> None:
        """Waits until so many packets of sound have come from now on; Firefox tells too that they are no silence."""
        before = await self.stats()
        async with asyncio.timeout(PATIENCE):
            while True:
                now = await self.stats()
                louder = self._browser.name == "chromium" or now.get("energy", 0) > before.get("energy", 0)
                if louder and now.get("packetsReceived", 0) - before.get("packetsReceived", 0) >= packets:
                    return
                await asyncio.sleep(0.1)  # the page is asked

    async def stats(self) -> dict[str, Any]:
        """Audio counters of getStats."""
        return dict(await self.run("await agent.stats()"))

    async def pictures(self, since: str = "confirmed") -> dict[str, Any]:
        """Video counters of getStats; `shownAfter`: milliseconds from the last event `since` to the first picture."""
        return dict(await self.run("await agent.pictures(args)", since))

    async def freeze(self, frozen: bool = True) -> None:
        """Stops all code of the page, while its sockets live on; or lets it run again. Chromium's."""
        await self._browser.ask("freeze", page=self.name, frozen=frozen)

    async def close(self) -> None:
        """Closes the page and its context."""
        await self._browser.ask("close", page=self.name)


class Browser:
    """`async with Browser("chromium", folder, tone=1000) as browser`. `names` are rules of Chromium's resolver
    (`MAP pbx.test 127.0.0.1`). With `trusts`, an authority's certificate (PEM) that a person has installed, Chromium takes
    those certificates alone that it takes from anybody."""

    def __init__(
        self, name: str, home: Path, tone: float | None = None, names: tuple[str, ...] = (), trusts: str = ""
    ) -> None:
        self.name = name
        self._home, self._names, self._trusts = home, names, trusts
        self._tone = write_tone(home / f"tone-{tone:g}.wav", tone) if tone and name == "chromium" else None
        self._log = home / f"{name}.log"
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._numbers = count(1)

    async def __aenter__(self) -> "Browser":
        program = next((found for one in PROGRAMS[self.name] if (found := shutil.which(one))), None)
        assert program, f"{self.name} is not installed (Debian package {PROGRAMS[self.name][0]})"
        node = shutil.which("node")
        assert node, "node is not installed"
        environment = {**os.environ, "HOME": await self._installed()} if self._trusts else dict(os.environ)
        more = json.dumps({"names": self._names, "verify": bool(self._trusts)})
        log = self._log.open("ab")
        self._process = await asyncio.create_subprocess_exec(
            node, str(AGENT), self.name, program, str(self._tone or ""), more, env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, limit=LONGEST_LINE,
        )  # fmt: skip
        log.close()
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[0] = ready
        self._reading = asyncio.create_task(self._read())
        self._pid = int(await asyncio.wait_for(ready, PATIENCE))
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            await self.ask("quit", 20)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 20)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        # Whatever became of who started it: the browser is a group of processes of its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        self._reading.cancel()

    async def _installed(self) -> str:
        """A home directory in whose certificate store the authority stands, as `/ca` tells people to put it."""
        home = self._home / "home"
        store = home / ".pki" / "nssdb"
        store.mkdir(parents=True, exist_ok=True)
        for options in (("-N", "--empty-password"), ("-A", "-n", "offhook", "-t", "C,,", "-a")):
            process = await asyncio.create_subprocess_exec(
                "certutil", "-d", f"sql:{store}", *options,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await process.communicate(self._trusts.encode())
            assert process.returncode == 0, f"certutil (Debian package libnss3-tools): {said.decode()}"
        return str(home)

    async def open(self, name: str, url: str, library: str = "jssip") -> Page:
        """A fresh context on a page of the server."""
        await self.ask("open", page=name, url=url)
        return Page(self, name, library)

    async def kill(self) -> None:
        """SIGKILL to the browser's main process: the sockets go without a word."""
        os.kill(self._pid, signal.SIGKILL)

    async def ask(self, verb: str, within: float = PATIENCE, **args: Any) -> Any:
        """One verb of agent.mjs."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "verb": verb, "args": args}).encode() + b"\n")
        return await asyncio.wait_for(self._answers[number], within)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            future = self._answers.pop(answer["id"], None)
            if future is None or future.done():
                continue
            if "error" in answer:
                future.set_exception(AssertionError(answer["error"]))
            else:
                future.set_result(answer["value"])
        for future in self._answers.values():
            if not future.done():
                future.set_exception(AssertionError(f"{self.name} ended: {self._log.read_text()[-2000:]}"))
