"""Erlang B and C against the printed tables."""

from __future__ import annotations

import pytest

from pbx.capacity import erlang


@pytest.mark.parametrize(
    ("traffic", "channels", "blocked"),
    [(1, 1, 0.5), (10, 10, 0.2146), (5, 10, 0.0184), (100, 100, 0.0757), (0.0101, 1, 0.01), (84.1, 100, 0.01)],
)
def test_blocking_is_that_of_the_erlang_b_table(traffic: float, channels: int, blocked: float) -> None:
    assert erlang.blocking(traffic, channels) == pytest.approx(blocked, rel=0.01)


@pytest.mark.parametrize(
    ("channels", "traffic", "allowed"),
    [(1, 0.0101, 0.01), (5, 1.36, 0.01), (10, 4.46, 0.01), (20, 12.0, 0.01), (50, 37.9, 0.01), (10, 7.51, 0.1)],
)
def test_what_channels_carry_is_that_of_the_table(channels: int, traffic: float, allowed: float) -> None:
    assert erlang.traffic_for(channels, allowed) == pytest.approx(traffic, rel=0.005)
    assert erlang.channels_for(traffic * 0.99, allowed) == channels
    assert erlang.channels_for(traffic * 1.01, allowed) == channels + 1


def test_without_traffic_nothing_is_needed() -> None:
    assert erlang.channels_for(0, 0.01) == 0
    assert erlang.agents_for(0, level=0.8, seconds=20, hold=180) == 0
    assert erlang.blocking(0, 5) == 0
    assert erlang.blocking(0, 0) == 1


# The example of every call centre's handbook: 100 calls in half an hour, 180 s each, so 10 erlangs.
@pytest.mark.parametrize(("agents", "waits", "level"), [(11, 0.682, 0.390), (12, 0.449, 0.640), (14, 0.174, 0.888)])
def test_waiting_is_that_of_erlang_c(agents: int, waits: float, level: float) -> None:
    assert erlang.waiting(10, agents) == pytest.approx(waits, rel=0.01)
    assert erlang.answered_within(10, agents, seconds=20, hold=180) == pytest.approx(level, abs=0.005)


def test_eighty_per_cent_in_twenty_seconds_takes_fourteen_agents_for_ten_erlangs() -> None:
    assert erlang.agents_for(10, level=0.8, seconds=20, hold=180) == 14


def test_agents_who_cannot_keep_up_answer_nobody_in_time() -> None:
    assert erlang.waiting(10, 10) == 1
    assert erlang.answered_within(10, 9, seconds=20, hold=180) == 0
