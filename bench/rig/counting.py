"""A program on the generator's core that says `ready`, and what it has counted for each line that it is sent."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from bench.rig import usage

REPOSITORY = Path(__file__).resolve().parents[2]


class CountingChild:
    """The program while it runs: a context manager. `failure` is what it means that it never was ready."""

    def __init__(self, command: Sequence[str], failure: str) -> None:
        self._failure = failure
        with usage.pinned(usage.cores()[1]):
            self._child = subprocess.Popen(
                command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

    def __enter__(self) -> Self:
        assert self._child.stdout is not None and self._child.stdout.readline() == "ready\n", self._failure
        return self

    def count(self) -> dict[str, Any]:
        """What it has counted since the beginning."""
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        return dict(json.loads(self._child.stdout.readline()))

    def __exit__(self, *exception: object) -> None:
        self._child.kill()
        self._child.communicate()
