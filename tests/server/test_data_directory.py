"""A data directory has one server: a second one, and a restore, are told so and touch nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from offhook.server.data_directory import LOCK, RUNNING, held
from offhook.server.errors import StartError
from tests.support.patience import PATIENCE

HOLDER = """
import sys
from pathlib import Path
from offhook.server.data_directory import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "made" / "by us"


def holder(data: Path) -> "subprocess.Popen[str]":
    """Another process that works in the directory until its input ends."""
    arguments = [sys.executable, "-c", HOLDER, str(data)]
    made = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert made.stdout is not None
    assert made.stdout.readline() == "held\n"
    return made


def test_it_is_made_for_its_owner_alone_and_can_be_held_again(data: Path) -> None:
    for _ in range(2):
        with held(data):
            assert data.stat().st_mode & 0o777 == 0o700
            assert (data / LOCK).stat().st_mode & 0o777 == 0o600


def test_a_second_server_is_told_who_has_it(data: Path) -> None:
    with holder(data) as first:
        (data / RUNNING).touch()
        with pytest.raises(StartError, match=rf"a server runs in .*by us \(pid {first.pid}\).*--data"), held(data):
            pass
        assert (data / RUNNING).exists()
        first.kill()
        first.wait(PATIENCE)
    # However it ended, and whatever it left behind.
    with held(data):
        pass


def test_one_that_is_ending_is_waited_for(data: Path) -> None:
    with holder(data) as ending:
        with pytest.raises(StartError, match="a server runs"), held(data, patience=0.0):
            pass
        assert ending.stdin is not None
        ending.stdin.close()
        with held(data, PATIENCE):
            pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for place, why in ((file, "File exists"), (file / "below", "Not a directory"), (Path("/proc/nothing"), "No such")):
        with (
            pytest.raises(StartError, match=f"the data directory {place} cannot be written .{why}.*--data"),
            held(place),
        ):
            pass
