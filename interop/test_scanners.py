"""Scanners learn nothing (AUTH-7, AUTH-8): SIPVicious against a real server that has alice and bob."""

import asyncio
import sys
from pathlib import Path

import pytest

from interop.support.server import Offhook
from tests.support.patience import PATIENCE

USERS = ["alice", "bob", "carol", "dave", "100", "admin"]


async def scan(program: str, home: Path, server: Offhook, *arguments: str) -> str:
    """What a SIPVicious tool says, from an address of its own."""
    host, _, port = server.sip.rpartition(":")
    binary = Path(sys.executable).with_name(f"sipvicious_{program}")
    process = await asyncio.create_subprocess_exec(
        str(binary), "-p", port, *arguments, host, cwd=home, env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    return out.decode()


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
async def test_svwar_finds_no_user(server: Offhook, tmp_path: Path, method: str) -> None:
    names = tmp_path / "names"
    names.write_text("\n".join(USERS) + "\n")
    said = await scan("svwar", tmp_path, server, "-d", str(names), "-m", method, "--force", "-t", "0.05")
    # It compares each name's answers with those to a name that it made up, and stops where they are the same.
    assert "found nothing" in said, said
    await server.until_logged(f"{method} sip:")


async def test_svcrack_is_locked_out_before_it_guesses_right(server: Offhook, tmp_path: Path) -> None:
    guesses = [f"guess-{number}" for number in range(40)]
    (tmp_path / "words").write_text("\n".join([*guesses, server.passwords["alice"]]) + "\n")
    said = await scan("svcrack", tmp_path, server, "-u", "alice", "-d", str(tmp_path / "words"), "-t", "0.02")
    # The right password is the last of the list; by then nothing from this address is verified.
    assert server.passwords["alice"] not in said
    await server.until_logged("login-locked")
