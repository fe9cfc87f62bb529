"""What Opus costs by rate and complexity: microseconds for 20 ms of speech, by `offhook-loadgen codecs`."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import speech
from bench.relay import ROOT, build


def main(line: list[str]) -> int:
    """Builds, measures, prints the table and writes the file. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.opus", description=__doc__)
    parser.add_argument("--passes", type=int, default=5, help="the best of so many counts")
    parser.add_argument("--output", type=Path, default=ROOT / "artefacts" / "bench-opus.json")
    arguments = parser.parse_args(line)
    try:
        binary = build() / "offhook-loadgen"
        with tempfile.TemporaryDirectory(prefix="offhook-bench-") as folder:
            pcmu, _ = speech.write_frames(Path(folder), speech.speech(Path(folder)))
            command = (str(binary), "codecs", "--speech", str(pcmu), "--passes", str(arguments.passes))
            rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"bench.opus: {error!r}", file=sys.stderr)
        return 1
    print("| rate | complexity | encode µs | decode µs | kbit/s |\n|---|---|---|---|---|")
    for row in rows:
        times = f"{row['encode_us']:.1f} | {row['decode_us']:.1f} | {row['kbit_s']:.1f}"
        print(f"| {row['rate']} | {row['complexity']} | {times} |")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
