"""Instructions of each unit of work, counted by valgrind: they do not depend on what else the machine does.

    python -m bench.micro.instructions            # beside those of instructions.json; fails when one has 5 % more
    python -m bench.micro.instructions --write    # these are the ones to compare with from now on

Counts of another compiler say nothing, so the baseline names its own. `perf` would count the interpreter's too, without
valgrind's fifty times longer; virtual machines mostly have no counters for it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.micro.counts import CannotCountError, grown, keep, kept
from bench.rig.media import BUILD, NATIVE

REPOSITORY: Final = Path(__file__).resolve().parents[2]
BASELINE: Final = Path(__file__).with_suffix(".json")
# Of the kernels alone, as bench/native/kernel_steps.c names them: how many times each is done.
UNITS: Final = {"relay": 2000, "room": 100, "party": 50, "pitch": 200, "resample": 100}


def compiler() -> str:
    done = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def build() -> Path:
    program, source = BUILD / "kernel_steps", NATIVE / "kernel_steps.c"
    BUILD.mkdir(parents=True, exist_ok=True)
    flags = ["-std=gnu11", "-O3", "-DNDEBUG", "-I", str(REPOSITORY / "ext" / "kernel"), "-pthread"]
    subprocess.run(["cc", *flags, "-Wno-unused-function", "-o", str(program), str(source), "-lm"], check=True)
    return program


def counted(program: Path, unit: str, times: int) -> int:
    """Instructions of the whole process."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), unit, str(times)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def measure() -> dict[str, int]:
    """Per unit, without the start of the process. Raises: CannotCountError."""
    if shutil.which("valgrind") is None:
        raise CannotCountError("valgrind is not installed")
    program = build()
    return {unit: (counted(program, unit, times) - counted(program, unit, 0)) // times for unit, times in UNITS.items()}


def baseline() -> dict[str, int]:
    """Raises: CannotCountError."""
    return kept(BASELINE, "compiler", compiler())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    try:
        counts = measure()
        if options.write:
            keep(BASELINE, "compiler", compiler(), counts)
        before = baseline()
    except CannotCountError as error:
        raise SystemExit(f"not counted: {error}") from None
    for unit, count in counts.items():
        print(f"{unit:10} {count:8} instructions, {before[unit]:8} before")
    if more := grown(counts, before, "instructions"):
        raise SystemExit("more instructions than before: " + "; ".join(more))


if __name__ == "__main__":
    main()
