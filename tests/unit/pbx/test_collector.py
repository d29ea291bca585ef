"""When everything is collected: when it is due and the loop was quiet for a while, or when it has waited too long."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pbx.collector import DUE_AFTER, LONGEST_WAIT_S, LOOK_EVERY_S, MOST_GROWTH_KB, QUIET_LOOKS, THRESHOLDS, Collector
from voipat.testing.loop import VirtualLoop


class Machine:
    """A collector whose loop is busy for `share` of the time, `passes` collections after the last full one."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.share = 0.0
        self.passes = 0
        self.resident = 100_000
        self.collected: list[float] = []
        self.collector = Collector(
            self.loop,
            worked=lambda: self.loop.time() * self.share,
            passes=lambda: self.passes,
            collect=self._collect,
            resident=lambda: self.resident,
        )

    def _collect(self) -> int:
        self.collected.append(self.loop.time())
        self.passes = 0
        return 0

    def run(self, seconds: float) -> None:
        self.loop.call_later(seconds, self.loop.stop)
        self.loop.run_forever()


@pytest.fixture
def machine() -> Iterator[Machine]:
    before = gc.get_threshold()
    made = Machine()
    yield made
    made.collector.close()
    made.loop.close()
    gc.set_threshold(*before)
    gc.unfreeze()


def test_the_process_never_collects_everything_by_itself(machine: Machine) -> None:
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() > 0


def test_nothing_is_collected_before_it_is_due(machine: Machine) -> None:
    machine.passes = DUE_AFTER - 1
    machine.run(60)
    assert machine.collected == []


def test_it_is_collected_after_the_first_quiet_while(machine: Machine) -> None:
    machine.passes, machine.share = DUE_AFTER, 0.5
    machine.run(600)
    assert machine.collected == []
    machine.share = 0.01
    machine.run((QUIET_LOOKS + 2) * LOOK_EVERY_S)
    assert len(machine.collected) == 1


def test_a_lull_between_two_loads_is_no_quiet_while(machine: Machine) -> None:
    machine.passes = DUE_AFTER
    for _ in range(10):
        machine.share = 0.5
        machine.run(LOOK_EVERY_S)
        machine.share = 0.01
        machine.run((QUIET_LOOKS - 1) * LOOK_EVERY_S)
    assert machine.collected == []


def test_without_a_quiet_moment_it_waits_an_hour(machine: Machine) -> None:
    machine.passes, machine.share = DUE_AFTER, 0.9
    machine.run(LONGEST_WAIT_S - LOOK_EVERY_S)
    assert machine.collected == []
    machine.run(3 * LOOK_EVERY_S)
    assert len(machine.collected) == 1


def test_a_closed_one_looks_no_more(machine: Machine) -> None:
    machine.collector.close()
    machine.passes = DUE_AFTER
    machine.run(60)
    assert machine.collected == []


def test_memory_that_grows_is_looked_through_in_the_middle_of_the_load(machine: Machine) -> None:
    machine.passes, machine.share = DUE_AFTER, 0.9
    machine.resident += MOST_GROWTH_KB - 1
    machine.run(10 * LOOK_EVERY_S)
    assert machine.collected == []
    machine.resident += 1
    machine.run(2 * LOOK_EVERY_S)
    assert len(machine.collected) == 1
    machine.passes = DUE_AFTER
    machine.run(10 * LOOK_EVERY_S)
    assert len(machine.collected) == 1, "what is left lives: growth counts from there"
