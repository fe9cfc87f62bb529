"""Instructions of a forwarded packet, counted by callgrind: the same number on a busy machine as on a quiet one.

`python -m bench.instructions`. The load is fixed and in one process without sockets (`offhook-loadgen forward`): it is
what the engine itself does: find the leg, judge, open, rewrite, seal, queue. Cryptography depends on the processor: only
plain RTP is held to what was kept in `instructions.json`.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.ng import KEY_OCTETS
from bench.relay import ROOT, target_folder

KEPT = Path(__file__).parent / "instructions.json"
SUITES = ("", *KEY_OCTETS)
PACKETS = 4_000
TOLERANCE, OTHER_COMPILER = 0.03, 0.15
"""How far a count may be from the one kept, made by the same compiler or by another."""
PROFILE = "ci"


def compiler() -> str:
    """The compiler's version, as it says it."""
    done = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def build() -> Path:
    """The load generator in the profile of tests. Raises OSError, subprocess.CalledProcessError."""
    command = ["cargo", "build", "--quiet", "--profile", PROFILE, "--locked", "-p", "offhook-loadgen"]
    subprocess.run(command, cwd=ROOT, check=True)
    return target_folder() / PROFILE / "offhook-loadgen"


def count(binary: Path, suite: str) -> float:
    """Instructions for each packet, half of them of the secured leg. Raises RuntimeError without callgrind."""
    if shutil.which("valgrind") is None:
        raise RuntimeError("valgrind is not installed; interop/peers.sh installs what the measurements need")
    with tempfile.TemporaryDirectory(prefix="offhook-callgrind-") as folder:
        command = (
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--toggle-collect=*forward_counted*",
            str(binary), "forward", "--packets", str(PACKETS),
        )  # fmt: skip
        suffix = ("--suite", suite) if suite else ()
        done = subprocess.run((*command, *suffix), capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or found is None or done.stdout.strip() != str(PACKETS):
        raise RuntimeError(f"callgrind failed: {done.stdout}{done.stderr}")
    return int(found[1]) / PACKETS


def differs(counted: float) -> str:
    """What is wrong with a count for plain RTP; empty when it is the one that was kept."""
    kept = json.loads(KEPT.read_text())
    allowed = TOLERANCE if kept["compiler"] == compiler() else OTHER_COMPILER
    share = counted / kept["plain"] - 1
    if abs(share) <= allowed:
        return ""
    return (
        f"a forwarded packet takes {counted:.0f} instructions, {share:+.1%} of the {kept['plain']:.0f} kept in "
        f"bench/instructions.json; if that is meant: python -m bench.instructions --keep"
    )


def main(line: list[str]) -> int:
    """Builds, counts, prints the table; 1 when the count for plain RTP is not the one kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the count for plain RTP as the right one")
    arguments = parser.parse_args(line)
    try:
        binary = build()
        counts = {suite or "plain": count(binary, suite) for suite in SUITES}
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"bench.instructions: {error}", file=sys.stderr)
        return 1
    print("| far leg | instructions a packet |\n|---|---|")
    print("\n".join(f"| {name} | {each:.0f} |" for name, each in counts.items()))
    if arguments.keep:
        KEPT.write_text(json.dumps({"compiler": compiler(), "plain": round(counts["plain"], 1)}, indent=1) + "\n")
    found = differs(counts["plain"])
    print(found or "as kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
