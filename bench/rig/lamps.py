"""`bench.rig.watchers` as a process on the generator's core."""

from __future__ import annotations

import sys

from bench.rig.counting import CountingChild
from bench.rig.processes import free_port


class Watchers(CountingChild):
    """Subscribed phones; they count `notified` and `cpu_s`."""

    def __init__(self, server_port: int, number: str, users: list[str]) -> None:
        command = [sys.executable, "-m", "bench.rig.watchers", str(server_port), str(free_port()), number, *users]
        super().__init__(command, "nobody could subscribe")
