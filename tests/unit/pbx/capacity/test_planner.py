"""What a demand takes, by costs with round numbers; and what fits on a machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbx.capacity.model import Load, fit_cold, fit_cold_media, shares, warmth
from pbx.capacity.planner import Demand, calls_that_fit, needs, users_that_fit
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


def test_a_cold_process_pays_more_for_the_same_calls() -> None:
    warm, cold = costs(), costs(cold=1.0)
    load = Load(rates={"call": 100})
    assert shares(load, warm).total == pytest.approx(0.11)
    found = shares(load, cold).total
    assert found == pytest.approx(0.01 + 0.1 * warmth(1.0, found))  # the share that explains itself
    assert found > 0.13
    assert warmth(1.0, 0.5) == 1


def test_the_fit_finds_what_the_points_were_made_of() -> None:
    points = [(share, 2e-3 * (1 + 0.8 * (1 - share))) for share in (0.1, 0.3, 0.6)]
    assert fit_cold(points) == pytest.approx(0.8)
    assert fit_cold(points[:1]) == 0
    assert fit_cold([(0.2, 1e-3), (0.6, 2e-3)]) == 0  # dearer when it is busy: no cold


def test_media_together_costs_less_than_alone_by_how_cold_it_was() -> None:
    hot = [(0.1, 0.08), (0.2, 0.15)]
    alone = [(share, used * (1 + 0.5 * (1 - share))) for share, used in hot]
    together = sum(used for _, used in hot) * (1 + 0.5 * (1 - 0.3))
    assert fit_cold_media(alone, together, 0.3) == pytest.approx(0.5, abs=1e-3)
