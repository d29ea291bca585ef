"""`bench.rig.watchers` as a process on the generator's core."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.rig import usage
from bench.rig.processes import free_port

REPOSITORY = Path(__file__).resolve().parents[2]


class Watchers:
    """Subscribed phones: a context manager."""

    def __init__(self, server_port: int, number: str, users: list[str]) -> None:
        command = [sys.executable, "-m", "bench.rig.watchers", str(server_port), str(free_port()), number, *users]
        with usage.pinned(usage.cores()[1]):
            self._child = subprocess.Popen(
                command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

    def __enter__(self) -> Watchers:
        assert self._child.stdout is not None and self._child.stdout.readline() == "ready\n", "nobody could subscribe"
        return self

    def count(self) -> dict[str, Any]:
        """notified, cpu_s: since the beginning."""
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        return dict(json.loads(self._child.stdout.readline()))

    def __exit__(self, *exception: object) -> None:
        self._child.kill()
        self._child.communicate()
