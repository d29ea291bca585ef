"""What a fuzz target raises when a law is broken, and the command line that all of them share."""

from __future__ import annotations

import argparse
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Finding(Exception):
    """A broken law, with the seed and the number that show it again."""


@contextmanager
def timed(tally: Counter[str], limit_s: float) -> Iterator[None]:
    """Count one "slow" when what is done inside takes more CPU time than `limit_s`."""
    # Of the thread: asking for the time of the whole process costs more than a mutant does.
    started = time.thread_time()
    yield
    if time.thread_time() - started > limit_s:
        tally["slow"] += 1


def each_tried(
    count: int,
    seed: int,
    mutant: Callable[[random.Random], bytes],
    outcome: Callable[[bytes], str],
    *,
    slowest_s: float,
) -> Counter[str]:
    """What became of `count` mutants, each drawn by the seed and its number. Raises: Finding."""
    tally: Counter[str] = Counter()
    for index in range(count):
        data = mutant(random.Random(f"{seed}/{index}"))
        try:
            with timed(tally, slowest_s):
                tally[outcome(data)] += 1
        except Exception as error:
            raise Finding(f"seed {seed} index {index}: {error!r}\n{data!r}") from error
    tally["mutants"] = count
    return tally


def told(tally: Counter[str]) -> str:
    """The tally in words."""
    return ", ".join(f"{number} {what}" for what, number in sorted(tally.items()))


def command(prog: str, description: str | None, run: Callable[[int, int], int]) -> int:
    """`--count` and `--seed` for one target; its exit status, 1 after a finding, which is printed."""
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=description)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        return run(options.count, options.seed)
    except Finding as finding:
        traceback.print_exception(finding)
        return 1
