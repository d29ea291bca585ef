"""What a demand takes, by costs with round numbers; and what fits on a machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbx.capacity.estimate import estimate
from pbx.capacity.kinds import MEDIA_KINDS
from pbx.capacity.mixed import MIXES, mixed_load
from pbx.capacity.model import Load, fit_wake, share_of, share_of_one, shares, woken, work_of
from pbx.capacity.planner import Demand, calls_that_fit, needs, rate_that_fits, users_that_fit
from pbx.capacity.rig import Usage
from pbx.capacity.samples import Sample, cost_of, wake_of
from tests.unit.pbx.capacity.samples import costs

# 36 erlangs, and nothing but calls between extensions that are passed on.
PLAIN = Demand(users=300, busy_hour=0.12, hold=180, trunk_share=0, music=0, conference=0)


def test_an_office_of_300_needs_what_its_peak_costs() -> None:
    found = needs(PLAIN, costs())
    assert (found.erlangs, found.calls, found.cores, found.daemons) == (36, 48, 1, 1)  # Erlang B, 1 %: 48
    assert found.ports == 4 * 48
    assert found.memory_mb == pytest.approx(100 + (300 * 2 + 48 * 50) / 1024)
    # 48 calls at a time and 48/180 a second, 300 phones kept alive every 30 s and registered every 30 min.
    assert found.shares.media == pytest.approx(48 * 1e-3 + 48 / 180 * 0.1e-3)
    signalling = 0.01 + 48 / 180 * 0.8e-3 + 300 / 30 * 50e-6 + 300 / 1800 * 90e-6
    assert found.shares.signalling == pytest.approx(signalling)
    assert found.bandwidth_mbit == pytest.approx(48 * 2 * 50 * (160 + 58) * 8 / 1e6)
    assert (found.trunk_channels, found.agents, found.recordings_gb_day) == (0, 0, 0)


def test_recording_is_paid_for_in_cpu_and_on_the_disk() -> None:
    plain, taped = needs(PLAIN, costs()), needs(replace(PLAIN, recorded=0.5), costs())
    assert taped.shares.media - plain.shares.media == pytest.approx(
        24 * 0.5e-3
    )  # what it adds to a call that is passed on
    assert taped.shares.disk - plain.shares.disk == pytest.approx(24 * 0.5e-3)
    assert taped.recordings_gb_day == pytest.approx(36 * 0.5 * 3600 * 6 * 16_000 / 1e9)
    assert taped.recordings_gb_kept == pytest.approx(90 * taped.recordings_gb_day)


def test_opus_costs_cpu_and_saves_network() -> None:
    plain, wide = needs(PLAIN, costs()), needs(replace(PLAIN, opus=0.5), costs())
    assert wide.shares.media - plain.shares.media == pytest.approx(24 * 7e-3)
    assert wide.bandwidth_mbit < plain.bandwidth_mbit


def test_codecs_together_are_never_more_than_all_calls() -> None:
    mixed = needs(replace(PLAIN, opus=1.0, g722=1.0, srtp=0.5), costs())
    assert mixed.shares.media == pytest.approx(24 * 8e-3 + 24 * 2e-3 + 48 / 180 * 0.1e-3)


def test_trunks_and_agents_are_those_of_erlang() -> None:
    found = needs(replace(PLAIN, trunk_share=0.5, queued=10 / 36), costs())
    assert found.trunk_channels == 28  # 18 erlangs, 1 %
    assert found.agents == 14  # 10 erlangs, 80 % within 20 s


def test_more_than_a_thread_carries_takes_more_daemons() -> None:
    found = needs(replace(PLAIN, users=30_000), costs())
    assert found.shares.media > 3.5
    assert found.daemons == 6
    assert found.cores >= 6


def test_the_machine_says_how_many_fit_and_what_is_full() -> None:
    calls = calls_that_fit("relay", costs())
    assert (calls.count, calls.limit) == (699, "media: its thread is 70% busy")
    many = users_that_fit(PLAIN, costs())
    assert needs(replace(PLAIN, users=many.count), costs()).shares.media <= 0.7
    assert needs(replace(PLAIN, users=many.count + 1), costs()).shares.media > 0.7
    assert many.limit.startswith("media")


def test_a_machine_with_more_cores_has_more_threads_for_media() -> None:
    big = replace(costs(), cores=8)
    found = calls_that_fit("opus", big)
    assert (found.count, found.limit) == (612, "media: its 7 threads are 70% busy")
    assert needs(replace(PLAIN, users=30_000), big).daemons == 1


def test_memory_and_ports_can_be_what_is_full() -> None:
    small = replace(costs(), memory_kb=140 * 1024)
    assert calls_that_fit("relay", small).limit.startswith("memory")
    cheap = replace(
        costs(),
        costs={
            **costs().costs,
            "relay": replace(costs().costs["relay"], stages=dict.fromkeys(("signalling", "media", "disk"), 0.0)),
        },
    )
    assert calls_that_fit("relay", cheap).count == 2500
    assert "media ports" in calls_that_fit("relay", cheap).limit


def test_phones_over_tls_take_handshakes_memory_and_dearer_calls() -> None:
    plain, sealed = needs(PLAIN, costs()), needs(replace(PLAIN, tls=0.5), costs())
    more = 24 / 180 * 0.8e-3 + 150 / 3600 * 2e-3
    assert sealed.shares.signalling - plain.shares.signalling == pytest.approx(more)
    assert sealed.memory_mb - plain.memory_mb == pytest.approx(150 * 20 / 1024)


def test_what_fits_has_an_interval_by_that_of_the_costs() -> None:
    found = calls_that_fit("relay", costs())
    assert (found.low, found.high) == (636, 777)  # the runs of a cost are a tenth to either side
    assert rate_that_fits("call", costs()).count == 862  # of 0.8 ms signalling, beside 1 % that it is idle


def test_a_thread_with_work_is_woken_for_it_and_its_share_is_a_line_from_there_on() -> None:
    shared = [shares(Load(held={"relay": count}), costs(wake=0.25)).media for count in (100, 300, 500)]
    assert shared == pytest.approx([(0.1 + 0.25) / 1.25, (0.3 + 0.25) / 1.25, (0.5 + 0.25) / 1.25], rel=1e-3)
    assert shares(Load(held={"relay": 1}), costs(wake=0.25)).media < 0.03  # few packets, few wakes
    assert shares(Load(), costs(wake=0.25)).media == 0


def test_media_that_is_made_at_the_tick_wakes_nobody_and_leaves_less_time_to_be_woken_in() -> None:
    played, both = (shares(Load(held=held), costs(wake=0.25)) for held in ({"play": 100}, {"play": 100, "relay": 100}))
    assert played.media == pytest.approx(0.1)
    assert both.media == pytest.approx(0.2 + 0.25 * (1 - both.media), rel=1e-3)


def test_work_is_what_is_left_of_a_share_when_the_wakes_are_taken_off() -> None:
    for work in (0.001, 0.01, 0.3):
        assert work_of(share_of_one(work, woken(work, 0.25)), 0.25) == pytest.approx(work, rel=1e-6)
    assert work_of(0.0, 0.25) == pytest.approx(0) and work_of(-0.1, 0.25) == 0


def test_what_is_more_than_a_thread_is_planned_to_is_done_by_several_that_are_as_busy() -> None:
    full = 0.7 * 1.25 - 0.25
    assert share_of(full, 0.25) == pytest.approx(0.7)
    assert share_of(3 * full, 0.25) == pytest.approx(2.1)


def test_shares_of_different_threads_add() -> None:
    found = shares(Load({"call": 100}, {"relay": 300}), costs(wake=0.1))
    assert found.signalling == pytest.approx(shares(Load({"call": 100}), costs(wake=0.1)).signalling)
    assert found.total == found.signalling + found.media + found.disk


def test_being_woken_takes_what_the_points_were_made_of_whatever_one_of_them_says() -> None:
    points = [(float(units), share_of_one(0.003 * units, 0.25)) for units in (10, 25, 60, 150)]
    assert fit_wake(points) == pytest.approx(0.25)
    assert fit_wake([*points, *points, (30.0, 0.9)]) == pytest.approx(0.25)
    assert fit_wake([(10.0, 0.1), (11.0, 0.5)]) == 0.0  # too near to each other: nothing is known
    assert fit_wake([(10.0, 0.01), (100.0, 0.2)]) == 0.0  # it is never less than nothing


def test_a_cost_is_the_work_of_its_samples_without_the_wakes() -> None:
    line = [Sample(units, Usage(media=share_of_one(0.001 * units, 0.25))) for units in (100.0, 200.0, 400.0)]
    wake = {"signalling": 0.0, "media": wake_of(line, "media"), "disk": 0.0}
    assert cost_of("relay", "relayed", line, wake, per_second=True).value == pytest.approx(0.001, rel=1e-3)
    ticked = [Sample(100.0, Usage(media=0.1))]
    assert cost_of("play", "played", ticked, wake, per_second=True).value == pytest.approx(0.001)


def test_an_interval_holds_the_median_and_leaves_out_what_is_rare() -> None:
    few = estimate([4.0, 5.0, 9.0])
    assert (few.value, few.low, few.high) == (5.0, 4.0, 9.0)
    many = estimate([1.0, *map(float, range(10, 19)), 99.0])
    assert (many.value, many.low, many.high) == (14.0, 11.0, 17.0)
    assert many.error == pytest.approx(3 / 14)


def test_a_mixed_load_takes_what_it_is_to_take_and_records_calls_that_are_passed_on() -> None:
    for mix in MIXES:
        load = mixed_load(mix.demand, costs(), MEDIA_KINDS)
        assert shares(load, costs()).total == pytest.approx(0.6, rel=1e-3)
        assert load.held["record"] > 0 and load.held["relay"] >= 0
