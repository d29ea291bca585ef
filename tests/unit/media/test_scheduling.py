"""The workers' threads go before other work where the system allows it, and media works where it does not."""

from __future__ import annotations

import os
import threading

import pytest

from bench.rig.processes import wait_until
from media.engine import Engine
from media.scheduling import Scheduling, put_first


def _in_a_thread() -> tuple[Scheduling, int, int]:
    found: list[tuple[Scheduling, int, int]] = []

    def look() -> None:
        scheduling = put_first()
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        found.append((scheduling, os.sched_getscheduler(0), nice))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


def _refuse(*arguments: object) -> None:
    raise PermissionError(*arguments)


def test_who_may_not_is_told_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_setscheduler", _refuse)
    monkeypatch.setattr(os, "setpriority", _refuse)
    assert _in_a_thread()[0] is Scheduling.NORMAL


@pytest.mark.skipif(os.geteuid() != 0, reason="a priority above others' is root's to give")
def test_a_lower_nice_value_where_real_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_setscheduler", _refuse)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    scheduling, policy, nice = _in_a_thread()
    assert (scheduling, policy, nice) == (Scheduling.FAVOURED, os.SCHED_OTHER, -11)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before, "the thread's alone, not the process's"


@pytest.mark.skipif(os.geteuid() != 0, reason="a priority above others' is root's to give")
@pytest.mark.parametrize(
    ("realtime", "expected"), [(True, Scheduling.REALTIME), (False, Scheduling.NORMAL)], ids=["real time", "normal"]
)
def test_only_the_workers_go_first(realtime: bool, expected: Scheduling) -> None:
    with Engine(workers=2, port_range=(42000, 42019), realtime=realtime) as engine:
        wait_until(lambda: engine.scheduling is expected, 10, "the workers to run")
        assert engine.workers == 2
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
