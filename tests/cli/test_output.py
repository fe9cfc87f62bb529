"""What the command line prints is text, whatever names strangers have."""

import pytest

from offhook.cli.server import plain, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("alice", "alice"),
        ("Müller → +49 89 …", "Müller → +49 89 …"),
        ("two\nlines", "two\nlines"),
        ("\x1b[2J\x1b]0;x\x07", "\\x1b[2J\\x1b]0;x\\x07"),
        ("a\rb", "a\\rb"),
        # Right-to-left override, which turns what follows around.
        ("\u202egnp.exe", "\\u202egnp.exe"),
    ],
)
def test_control_characters_become_visible(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_table_of_calls_is_not_rewritten_by_a_caller(capsys: pytest.CaptureFixture[str]) -> None:
    table(("FROM", "TO"), [("\x1b[1A\x1b[2K", "bob")])
    assert "\x1b" not in capsys.readouterr().out
