"""Runs every fuzz target and the C harness: a hundredth by default; with --full all of it, and under the sanitizers."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# target module → inputs of a full run
TARGETS = {
    "fuzz.endpoint": 100_000,
    "fuzz.stream": 100_000,
    "fuzz.sdp": 100_000,
    "fuzz.rtp": 100_000,
    "fuzz.secure": 100_000,
    "fuzz.parameters": 100_000,
    "fuzz.sound": 400_000,
    "fuzz.codecs": 100_000,
    "fuzz.hostile": 10_000,
}

NATIVE = (
    "fuzz.endpoint",
    "fuzz.rtp",
    "fuzz.secure",
    "fuzz.codecs",
)  # also on the sanitizer build: they go through our native modules


def run(command: list[str], **environment: str) -> int:
    print("$", " ".join(command), flush=True)
    return subprocess.call(command, cwd=ROOT, env={**os.environ, **environment})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    for module, count in TARGETS.items():
        inputs = count if options.full else count // 100
        failed += run([sys.executable, "-m", module, "--count", str(inputs), "--seed", str(options.seed)]) != 0
        if options.full and module in NATIVE:
            sanitized = [sys.executable, "tools/sanitized.py", "-m", module, "--count", str(inputs)]
            failed += run([*sanitized, "--seed", str(options.seed)]) != 0
    harness = ["make", "-s", "-C", "ext/tests"] + ([] if options.full else ["run", "ROUNDS=10000", "SECONDS=1"])
    failed += run(harness) != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
