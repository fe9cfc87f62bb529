"""What SRTP costs for a secured side: nanoseconds to seal and to open a packet of G.711, by `offhook-loadgen srtp`.

Once with one key, which the caches hold, and once with those of 500 legs in turn, as a relay has them. Held to the
target of MEDIA.md section 10: half a microsecond a side.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench.relay import ROOT, build

TARGET_NS = 500


def main(line: list[str]) -> int:
    """Builds, measures, prints the table and writes the file. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.srtp", description=__doc__)
    parser.add_argument("--passes", type=int, default=9, help="the best of so many counts")
    parser.add_argument("--legs", type=int, default=500)
    parser.add_argument("--output", type=Path, default=ROOT / "artefacts" / "bench-srtp.json")
    arguments = parser.parse_args(line)
    try:
        binary = build() / "offhook-loadgen"
        command = (str(binary), "srtp", "--legs", str(arguments.legs), "--passes", str(arguments.passes))
        rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"bench.srtp: {error!r}", file=sys.stderr)
        return 1
    print("| suite | legs | seal ns | open ns | target 500 ns a side |\n|---|---|---|---|---|")
    for row in rows:
        verdict = "met" if max(row["seal_ns"], row["open_ns"]) <= TARGET_NS else "missed"
        print(f"| {row['suite']} | {row['legs']} | {row['seal_ns']:.0f} | {row['open_ns']:.0f} | {verdict} |")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
