"""Whether the generator was what limited a run. A run whose proof has faults gives no figure."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from voipat.load.histogram import Histogram

# A generator that uses more of its core may be what limits the run.
BUSIEST: Final = 0.85
# Milliseconds by which one in a hundred units or packets may be late: one interval of RTP.
LATEST_MS: Final = 20.0
SAMPLE_S: Final = 0.25
# Shares are of a second: of less, the kernel's own accounting is too coarse.
SAMPLES_A_SECOND: Final = 4


def cpu_ns(pid: int) -> tuple[int, int]:
    """(nanoseconds run, nanoseconds ready to run without a core) of all threads of a process so far."""
    run = waited = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError):
            fields = path.read_text().split()
            run += int(fields[0])
            waited += int(fields[1])
    return run, waited


@dataclass(frozen=True, slots=True)
class Mark:
    """What the generator had counted at a moment."""

    at: float
    unsent: int = 0
    kernel_drops: int = 0
    late: Histogram = field(default_factory=Histogram)  # units and packets, after they were due
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Proof:
    """How the generator fared between two marks."""

    seconds: float
    share: float  # of a core, its busiest process in its busiest second
    late_ms: float  # p99: how long after they were due units and packets were sent
    unsent: int  # units that found no room, messages and packets that the kernel did not take
    kernel_drops: int  # of its own sockets
    waited: float  # share of the time that it was ready to run and had no core
    processes: int = 1

    def faults(self) -> list[str]:
        """Why the run does not count; empty when it does."""
        found = []
        if self.share > BUSIEST:
            found.append(f"the generator used {self.share:.0%} of its core")
        if self.late_ms > LATEST_MS:
            found.append(f"the generator sent {self.late_ms:.0f} ms late (one in a hundred)")
        if self.unsent:
            found.append(f"the generator could not send {self.unsent} times")
        if self.kernel_drops:
            found.append(f"the kernel dropped {self.kernel_drops} packets to the generator")
        return found

    def __str__(self) -> str:
        return (
            f"generator {self.share:.0%} of its core, {self.late_ms:.1f} ms late (p99), {self.unsent} not sent, "
            f"{self.kernel_drops} kernel drops"
        )


def between(begin: Mark, end: Mark, share: float, processes: int) -> Proof:
    """From two marks and the busiest second between them."""
    seconds = max(end.at - begin.at, 1e-9)
    return Proof(
        seconds=seconds,
        share=share,
        late_ms=(end.late - begin.late).percentile_ms(0.99),
        unsent=end.unsent - begin.unsent,
        kernel_drops=end.kernel_drops - begin.kernel_drops,
        waited=(end.waited_s - begin.waited_s) / seconds / processes,
        processes=processes,
    )


class Watch:
    """Samples the CPU of processes while they run: the busiest second of the busiest one since a moment."""

    def __init__(self, pids: list[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._pids, self._clock = pids, clock
        self._samples: list[tuple[float, list[int]]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load-watch", daemon=True)
        self._thread.start()

    def busiest(self, since: float) -> float:
        """Share of a core."""
        samples = [sample for sample in self._samples if sample[0] >= since - SAMPLE_S]
        samples.append((self._clock(), [cpu_ns(pid)[0] for pid in self._pids]))
        reach = min(SAMPLES_A_SECOND, len(samples) - 1)
        return max(
            (
                (late - early) / 1e9 / max(later[0] - earlier[0], 1e-9)
                for earlier, later in zip(samples, samples[reach:], strict=False)
                for early, late in zip(earlier[1], later[1], strict=True)
                if reach
            ),
            default=0.0,
        )

    def end(self) -> None:
        """No more samples."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self._samples.append((self._clock(), [cpu_ns(pid)[0] for pid in self._pids]))


def cores() -> tuple[int, int]:
    """(the server's core, the generator's): the same one when this process may use only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]
