"""`make fuzz` in small: a hundredth of it, by the same code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_hundredth_of_the_fuzz_targets_finds_nothing() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "fuzz_all.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
