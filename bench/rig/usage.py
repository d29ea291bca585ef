"""What a process tree costs, and whether a load generator kept up: the figures' own evidence."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
# A generator that uses more of its core may be what limits the run.
BUSIEST = 0.85
# An open-loop generator that starts fewer units than asked for was late.
SLOWEST = 0.97
# Milliseconds that a packet may be sent after its time: one interval of G.711.
LATEST = 20.0
# A latency is of the load that its name says, or of none.
LEAST_REACHED = 0.9


def cores() -> tuple[int, int]:
    """(the server's core, the generator's): the same one when the machine has only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started inside runs on that core; the caller itself goes back to where it was."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tree(pid: int) -> list[int]:
    """The process and its descendants."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


def _clock_of(pid: int) -> int:
    """As clock_getcpuclockid(3) makes it, which Python has for threads only."""
    return (~pid << 3) | 2


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree so far, of threads that have ended too, by the clocks of its processes.

    Their 10 ms in /proc are too coarse: 5.3 and 8 µs a party would be neighbours in a room of 50.
    """
    spent = 0.0
    for process in tree(pid):
        with contextlib.suppress(OSError):
            spent += time.clock_gettime(_clock_of(process))
    return spent


def waited_seconds(pid: int) -> float:
    """How long the threads of the process were ready to run and no core was free for them, all threads together."""
    waited = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            waited += int(thread.read_text().split()[1])
    return waited / 1e9


def core_busy_seconds(core: int, stat: Path = Path("/proc/stat")) -> float:
    """How long this core was at work so far, for whomever, the hypervisor's other guests included."""
    for line in stat.read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, *interrupts = (int(field) for field in fields[:8])
            return (user + nice + system + sum(interrupts)) / TICK
    raise AssertionError(f"no core {core} in {stat}")


def stolen_seconds(stat: Path = Path("/proc/stat")) -> tuple[float, float]:
    """What the host took from this machine's processors so far, and all of their time."""
    ticks = [int(field) for field in stat.read_text().splitlines()[0].split()[1:9]]
    return ticks[7] / TICK, sum(ticks) / TICK


def pss_kb(pid: int) -> int:
    """Resident memory of the tree, shared pages counted once."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


def kernel_drops(low: int, high: int | None = None) -> int:
    """Datagrams that found the buffer of a socket full, over the sockets that are open now on those local ports."""
    high = low if high is None else high
    drops = 0
    for name in ("udp", "udp6"):
        path = Path(f"/proc/net/{name}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if low <= int(fields[1].rpartition(":")[2], 16) <= high:
                drops += int(fields[-1])
    return drops


@dataclass(frozen=True, slots=True)
class Proof:
    """How a generator fared in one run."""

    share: float  # of its core, in its busiest second
    punctual: float  # units started over units asked for, at any time of the run
    drops: int  # of its own sockets
    server_drops: int = 0  # of the server's sockets: a result, not a fault of the generator
    late_ms: float = 0.0  # the latest packet, where packets have a time each
    busiest: float = BUSIEST
    reached: float = 1.0  # of the load that the server was to be under

    def faults(self) -> list[str]:
        """Why the run does not count; empty when it does."""
        found = []
        if self.share > self.busiest:
            found.append(f"generator used {self.share:.0%} of its core")
        if self.punctual < SLOWEST:
            found.append(f"generator started {self.punctual:.0%} of what was asked for")
        if self.drops:
            found.append(f"kernel dropped {self.drops} packets to the generator")
        if self.late_ms > LATEST:
            found.append(f"generator sent up to {self.late_ms:.0f} ms late")
        if self.reached < LEAST_REACHED:
            found.append(f"the server was under {self.reached:.0%} of the load that was meant")
        return found

    def text(self) -> str:
        return (
            f"generator {self.share:.0%} of its core, {min(self.punctual, 1):.0%} on time, {self.drops} kernel drops; "
            f"server {self.server_drops} kernel drops"
        )


class Watch:
    """Samples a generator while it runs: its CPU second by second, the drops of its port."""

    def __init__(self, pids: list[int], ports: list[int]) -> None:
        self._pids, self._ports = pids, ports
        self._samples: list[tuple[float, float]] = []
        self.drops = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._ended.is_set():
            self._samples.append((time.monotonic(), sum(cpu_seconds(pid) for pid in self._pids)))
            self.drops = max(self.drops, sum(kernel_drops(port) for port in self._ports))
            self._ended.wait(0.2)

    def end(self) -> float:
        """The share of a core in the busiest second."""
        self._ended.set()
        self._thread.join()
        shares = [
            (cpu - early_cpu) / (at - early)
            for index, (early, early_cpu) in enumerate(self._samples)
            for at, cpu in self._samples[index + 5 : index + 6]
        ]
        return max(shares, default=0.0)
