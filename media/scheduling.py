"""The media workers' threads, and their standing beside everything else that the machine runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from enum import Enum
from typing import Final

# Above ordinary work and below what the kernel and audio servers of the distributions take.
_PRIORITY: Final = 10
# What is left to those who may not: Linux counts each step of it as a tenth of the time.
_NICE: Final = -11


class Scheduling(Enum):
    """How a worker's thread is scheduled."""

    REALTIME = "real time"  # SCHED_RR: it runs as soon as a packet or its tick comes
    FAVOURED = "favoured"  # a lower nice value
    NORMAL = "normal"


def put_first() -> Scheduling:
    """Let the calling thread go before other work, as far as the system allows, and tell how far that is.

    A worker that waits for others' time slices (3 ms each) is heard as jitter. It cannot take the machine: the kernel
    keeps 5 % of each second for the rest (`sched_rt_runtime_us`).
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
    except PermissionError:
        pass
    else:
        return Scheduling.REALTIME
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    except PermissionError:
        return Scheduling.NORMAL
    return Scheduling.FAVOURED


class WorkerThreads:
    """`count` threads, each of which does `run(index)`; with `first` they go before other work as far as they may.

    `scheduling` says how far that is.
    """

    def __init__(self, run: Callable[[int], None], count: int, *, first: bool) -> None:
        self.scheduling = Scheduling.NORMAL
        self._run = run
        self._first = first
        self._threads = [
            threading.Thread(target=self._work, args=(index,), name=f"voipat-media-{index}", daemon=True)
            for index in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for their end; harmless when repeated."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _work(self, index: int) -> None:
        if self._first:
            self.scheduling = put_first()
        self._run(index)
