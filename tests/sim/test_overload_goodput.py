"""S19, F6: overload control of a modelled server, whose capacity is known exactly.

The core is used up whatever comes, nobody waits so long that phones repeat, and what was let in is carried through.
"""

from __future__ import annotations

import pytest

from tests.sim.modelled_server import CAPACITY, COST_S, T1, ModelledServer

PAUSES = tuple((2.5 + 5 * number, 0.15) for number in range(4))


def possible(server: ModelledServer, factor: float, seconds: float) -> float:
    """What is left for calls when the pauses are over and the others refused, of the capacity."""
    refusal = server.refusal_ms / 1e3 / COST_S
    paused = sum(length for at, length in server.pauses if at < seconds) / seconds
    return min(factor, (1.0 - paused - factor * refusal) / (1.0 - refusal))


@pytest.mark.parametrize("pauses", [(), PAUSES], ids=["smooth", "with pauses"])
@pytest.mark.parametrize("factor", [1.1, 1.5, 3.0, 10.0])
def test_goodput_is_what_the_core_can_do(factor: float, pauses: tuple[tuple[float, float], ...]) -> None:
    server = ModelledServer(pauses=pauses)
    server.run(lambda now: factor * CAPACITY, 20.0)
    assert server.goodput(0.0, 20.0) >= 0.95 * possible(server, factor, 20.0)
    # Nobody answers an INVITE for T1 and it comes again: at no time does that begin.
    assert server.longest_wait(0.0, 20.0) < T1 and server.told["repeated"] == 0
    assert server.told["refused later"] == 0, "half of their work was done"


def test_three_times_the_capacity_leaves_nine_tenths_of_it() -> None:
    server = ModelledServer()
    server.run(lambda now: 3.0 * CAPACITY, 20.0)
    assert server.goodput(0.0, 20.0) >= 0.9


@pytest.mark.parametrize("hold_s", [0.2, 5.0])
def test_calls_that_end_later_come_on_top(hold_s: float) -> None:
    """What follows from a call costs when the rate was found without it."""
    server = ModelledServer(hold_s=hold_s)
    server.run(lambda now: 3.0 * CAPACITY, 20.0)
    assert server.goodput(10.0, 20.0) >= 0.95 * possible(server, 3.0, 20.0)
    assert server.longest_wait(2.0, 20.0) < T1


@pytest.mark.parametrize("factor", [0.5, 0.9])
def test_a_pause_costs_no_call_below_the_capacity(factor: float) -> None:
    server = ModelledServer(pauses=PAUSES)
    server.run(lambda now: factor * CAPACITY, 20.0)
    assert server.told["refused"] == 0 and server.told["refused later"] == 0


def test_when_the_load_goes_nothing_is_refused_any_more() -> None:
    server = ModelledServer()
    server.run(lambda now: (3.0 if now < 8.0 else 0.8) * CAPACITY, 9.0)
    before = server.told["refused"]
    server.run(lambda now: 0.8 * CAPACITY, 10.0)
    assert server.told["refused"] == before
    assert not server.overload.is_watching, "back to normal within ten seconds"
    assert server.goodput(10.0, 19.0) == pytest.approx(0.8, abs=0.05)


def test_a_core_that_becomes_slower_is_found_out() -> None:
    """Half of the time from second 6 on the core is somebody else's, 10 ms at a time."""
    server = ModelledServer(pauses=[(6.0 + 0.02 * number, 0.01) for number in range(600)])
    server.run(lambda now: 2.0 * CAPACITY, 18.0)
    assert server.goodput(2.0, 6.0) >= 0.95 * possible(ModelledServer(), 2.0, 6.0)
    assert 0.45 <= server.goodput(8.0, 18.0) <= 0.55
    assert server.longest_wait(8.0, 18.0) < T1
