"""All figures of the media engine in one run: `python -m bench.media`, or `make bench-media`. It wants a quiet machine.

It takes some 19 minutes once built, and 40 with `--rounds 5`, which MEDIA.md's protocol asks of figures that are kept. Each
part prints its table and writes its file into `artefacts/`; one that fails does not stop the others. `--quick` runs each
part as short as it still says that it works, some 4 minutes; `--only` runs those parts whose title has the word.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass

from bench.relay import ROOT


@dataclass(frozen=True, slots=True)
class Part:
    """One table: its title, module, arguments (`--rounds` replaces theirs), and what `--quick` puts behind them."""

    title: str
    module: str
    arguments: str
    quick: str


RELAY = "--rounds 1 --seconds 2 --rates 20000"
PARTS = (
    Part("Instructions of a forwarded packet", "instructions", "", ""),
    Part("What Opus costs", "opus", "", "--passes 1"),
    Part("What SRTP costs", "srtp", "", "--passes 1"),
    Part("Forwarding, plain RTP", "relay", "--rounds 3 --seconds 4 --output artefacts/bench-plain.json", RELAY),
    Part(
        "Forwarding, AES_CM_128_HMAC_SHA1_80", "relay",
        "--suite AES_CM_128_HMAC_SHA1_80 --rounds 2 --seconds 4 --output artefacts/bench-cm.json", RELAY,
    ),
    Part(
        "Forwarding, AEAD_AES_128_GCM", "relay",
        "--suite AEAD_AES_128_GCM --rounds 2 --seconds 4 --output artefacts/bench-gcm.json", RELAY,
    ),
    Part(
        "Forwarding, browser and plain RTP", "relay",
        "--suite webrtc --rounds 2 --seconds 4 --output artefacts/bench-webrtc.json", RELAY,
    ),
    Part(
        "Delay at 500 calls", "relay",
        "--legs 1000 --rates 50000 --rounds 1 --seconds 5 --output artefacts/bench-delay.json",
        "--rounds 1 --seconds 2",
    ),
    Part("Transcoding, 40 calls", "transcode", "--rounds 3", "--rounds 1 --seconds 3"),
    Part(
        "Transcoding, more than rtpengine can", "transcode",
        "--calls 160 --rounds 1 --servers offhook --output artefacts/bench-transcode-full.json", "--seconds 3",
    ),
    Part(
        "Rooms", "transcode", "--members 100,500 --rounds 2 --output artefacts/bench-rooms.json",
        "--members 100 --rounds 1 --seconds 3",
    ),
    Part("Set-up and memory", "legs", "", "--legs 200 --transcoding-legs 20 --settle 9"),
)  # fmt: skip


def main(line: list[str]) -> int:
    """Runs the parts; 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.media", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=0, help="of each part that has rounds, instead of its own number")
    parser.add_argument("--only", default="", help="a word of the titles")
    arguments = parser.parse_args(line)
    failed = []
    for part in (part for part in PARTS if arguments.only.lower() in part.title.lower()):
        print(f"\n## {part.title}\n", flush=True)
        start = time.monotonic()
        words = [*part.arguments.split(), *(part.quick.split() if arguments.quick else ())]
        if arguments.rounds and "--rounds" in words:
            words += ["--rounds", str(arguments.rounds)]
        done = subprocess.run([sys.executable, "-m", f"bench.{part.module}", *words], cwd=ROOT, check=False)
        failed += [part.title] if done.returncode else []
        print(f"\n({time.monotonic() - start:.0f} s)", flush=True)
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall parts ran")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
