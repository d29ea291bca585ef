"""The E-model: ratings of known paths within two points of the published ones, and nothing absurd from any figures."""

from __future__ import annotations

import pytest

from media.quality import IMPAIRMENTS, mos_of, quality, r_factor
from media.stats import PortStats, RtcpStats

# One-way delay → R of G.711 without loss: the curve of G.107 for TELR 65 as G.108 and TIA TSB-116 print it.
DELAYS = {0: 93.2, 50: 92, 100: 91, 150: 90, 200: 86.5, 250: 80, 300: 73.5, 400: 62}


@pytest.mark.parametrize(("delay", "rating"), DELAYS.items())
def test_delay_costs_what_g107_says(delay: float, rating: float) -> None:
    assert r_factor(delay, loss_percent=0, impairment=IMPAIRMENTS["PCMU"]) == pytest.approx(rating, abs=2)


# G.113 appendix I: Ie,eff = Ie + (95 - Ie) * Ppl / (Ppl + Bpl).
@pytest.mark.parametrize(
    ("codec", "loss", "rating"),
    [("PCMU", 1, 89.6), ("PCMU", 2, 86.2), ("PCMU", 5, 77.4), ("PCMA", 10, 66.2), ("G729", 0, 82.2), ("G729", 2, 74.2)],
)
def test_loss_costs_what_g113_says(codec: str, loss: float, rating: float) -> None:
    assert r_factor(0, loss_percent=loss, impairment=IMPAIRMENTS[codec]) == pytest.approx(rating, abs=2)


@pytest.mark.parametrize(
    ("rating", "mos"), [(100, 4.5), (93.2, 4.41), (90, 4.34), (80, 4.03), (70, 3.60), (50, 2.58), (0, 1)]
)
def test_the_mos_of_a_rating_is_that_of_annex_b(rating: float, mos: float) -> None:
    assert mos_of(rating) == pytest.approx(mos, abs=0.01)


def test_more_loss_and_more_delay_never_sound_better() -> None:
    for codec in (*IMPAIRMENTS, "something"):
        by_loss = [quality(codec, loss=n / 100, jitter_ms=0, round_trip_ms=40).mos for n in range(101)]
        by_delay = [quality(codec, loss=0.01, jitter_ms=0, round_trip_ms=n * 20).r for n in range(101)]
        assert by_loss == sorted(by_loss, reverse=True) and by_delay == sorted(by_delay, reverse=True)


@pytest.mark.parametrize("absurd", [-1e9, 0.0, 1e9])
def test_absurd_figures_give_a_rating_within_the_scale(absurd: float) -> None:
    found = quality("PCMU", loss=absurd, jitter_ms=absurd, round_trip_ms=absurd)
    assert 0 <= found.r <= 100 and 1 <= found.mos <= 4.5 and 0 <= found.loss <= 1 and 0 <= found.delay_ms <= 2000


def test_each_direction_of_a_port_is_rated_by_itself() -> None:
    rtcp = RtcpStats(remote_lost=100, remote_reports=3, remote_jitter_ms=2, round_trip_ms=40)
    stats = PortStats(packets_in=1000, packets_out=1000, lost=0, jitter_ms=2, rtcp=rtcp)
    heard, said = stats.heard("PCMU"), stats.said("PCMU")
    assert heard is not None and said is not None
    assert heard.mos > 4.3 and said.mos < 3.5 and said.loss == 0.1
    assert heard.delay_ms == said.delay_ms == 44


def test_what_nobody_told_is_not_rated() -> None:
    assert PortStats().heard("PCMU") is None
    assert PortStats(packets_out=9).said("PCMU") is None and PortStats(packets_out=9).remote_loss is None
