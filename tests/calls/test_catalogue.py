"""One table holds all words: codes the engine's verdicts lead to are rows of it, and each verdict has one."""

import re
from pathlib import Path

from offhook.calls.catalogue import CATALOGUE, FINDING_OF_VERDICT

VERDICTS = Path(__file__).parent.parent.parent / "crates" / "media" / "src" / "verdict.rs"


def test_every_verdict_of_the_engine_has_words() -> None:
    named = set(re.findall(r'Verdict::new\("([a-z_]+)"\)', VERDICTS.read_text()))
    assert len(named) > 15
    # A leg without a source tells of the other leg's finding.
    assert named - {"no_source"} <= set(FINDING_OF_VERDICT)
    assert set(FINDING_OF_VERDICT.values()) <= set(CATALOGUE)
