"""Whoever adds a table says whether other nodes must hear of its rows."""

import re
from pathlib import Path

from offhook.server import nodes
from offhook.server.nodes import NOT_IN_MEMORY, node_id
from offhook.store.tables import metadata


def test_every_table_is_followed_or_not_in_memory() -> None:
    source = Path(nodes.__file__).read_text(encoding="utf-8")
    followed = set(re.findall(r"\(tables\.(\w+), ", source))
    assert not followed & NOT_IN_MEMORY
    missing = set(metadata.tables) - followed - NOT_IN_MEMORY
    assert not missing, "follow it in server/nodes.py, or name it in NOT_IN_MEMORY"


def test_a_node_keeps_its_id(tmp_path: Path) -> None:
    first = node_id(tmp_path)
    assert node_id(tmp_path) == first
    (tmp_path / "two").mkdir()
    assert node_id(tmp_path / "two") != first
