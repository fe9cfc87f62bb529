"""The journal of live calls: the newest state of each, whatever happens to the process or the file."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from offhook.store.journal import Journal
from tests.support.patience import PATIENCE

DIES = """
import sys, time
from pathlib import Path
from offhook.store.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.load(); journal.start()
for number in range(500):
    journal.put(f"call-{number}", b"early")
    journal.put(f"call-{number}", b"talking %d" % number)
for number in range(0, 500, 2):
    journal.drop(f"call-{number}")
while journal.written < 500:
    time.sleep(0.01)
print("written", flush=True)
time.sleep(60)
"""


def test_a_second_opening_finds_the_newest_states(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.sqlite")
    assert first.load() == {}
    first.start()
    first.put("a", b"1")
    first.put("b", b"1")
    first.put("a", b"2")
    first.drop("b")
    first.stop()
    assert Journal(tmp_path / "journal.sqlite").load() == {"a": b"2"}
    assert (tmp_path / "journal.sqlite").stat().st_mode & 0o777 == 0o600


def test_what_changes_again_before_it_is_written_is_written_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.load()
    for number in range(1000):
        journal.put("a", str(number).encode())
    journal.start()
    journal.stop()
    assert journal.written == 1
    assert journal.load() == {"a": b"999"}


def test_a_killed_process_loses_nothing_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    process = subprocess.Popen([sys.executable, "-c", DIES, str(path)], stdout=subprocess.PIPE, env=dict(os.environ))
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert Journal(path).load() == {f"call-{number}": b"talking %d" % number for number in range(1, 500, 2)}


def test_a_broken_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"no database at all" * 100)
    journal = Journal(path)
    assert journal.load() == {}
    assert journal.failures == 1
    assert (tmp_path / "journal.sqlite.broken").read_bytes().startswith(b"no database")
    journal.start()
    journal.put("a", b"1")
    journal.stop()
    assert journal.load() == {"a": b"1"}


def test_a_locked_file_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    journal.load()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    journal.start()
    journal.put("a", b"1")
    deadline = time.monotonic() + PATIENCE
    while not journal.failures and time.monotonic() < deadline:
        time.sleep(0.05)  # SQLite's own patience with a lock
    journal.put("b", b"2")
    other.execute("COMMIT")
    other.close()
    while journal.written < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    journal.stop()
    assert journal.load() == {"a": b"1", "b": b"2"}
