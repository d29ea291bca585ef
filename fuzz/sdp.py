"""`python -m fuzz.sdp --count N --seed S`: see `fuzz.sdp_mutations`."""

from __future__ import annotations

import argparse
import sys

from fuzz.sdp_mutations import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.sdp", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return run(options.count, options.seed)


if __name__ == "__main__":
    sys.exit(main())
