"""How a stream sounds, as a number: the E-model of ITU-T G.107 (06/2015) with its default values.

    R = 93.36 - Id(delay) - Ie,eff(codec, loss)      0 … 93.2, one scale for all codecs: that of narrow band
    MOS-CQE = f(R), G.107 annex B                    1 … 4.4: conversational, estimated

Delay is half the round trip, the frame, and a jitter buffer of twice the jitter. Loss is taken as random (BurstR 1) and
concealed. Ie and Bpl of G.711 and G.729 are those of ITU-T G.113 appendix I; it has none for G.722 and Opus on this
scale: theirs are ours, careful ones, and what wide band gains is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log2, log10, pow, sqrt
from types import MappingProxyType
from typing import Final

# G.107 table 2.
SLR: Final = 8.0
RLR: Final = 2.0
TELR: Final = 65.0
WEPL: Final = 110.0
NOISE_DBM0P: Final = -61.18  # No of the default values
SIMULTANEOUS: Final = 1.41  # Is of the default values

FRAME_MS: Final = 20.0
# Beyond these nothing gets worse, and no report may claim more.
MAX_DELAY_MS: Final = 2000.0
MAX_JITTER_MS: Final = 500.0


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a codec costs by itself, and how it bears loss (per cent)."""

    equipment: float
    robustness: float
    lookahead_ms: float = 0.0


IMPAIRMENTS: Final[Mapping[str, Impairment]] = MappingProxyType(
    {
        "PCMU": Impairment(0.0, 25.1),
        "PCMA": Impairment(0.0, 25.1),
        "L16": Impairment(0.0, 25.1),
        "G722": Impairment(0.0, 15.0, 1.5),
        "OPUS": Impairment(0.0, 20.0, 6.5),
        "G729": Impairment(11.0, 19.0, 5.0),
    }
)
# A codec that is only passed on.
UNKNOWN: Final = Impairment(11.0, 15.0)


@dataclass(frozen=True, slots=True)
class Quality:
    """One direction of one leg. `r` is 0 to 100, `mos` 1.0 to 4.5, `delay_ms` what was assumed from mouth to ear."""

    r: float
    mos: float
    loss: float
    delay_ms: float


def quality(codec: str, *, loss: float, jitter_ms: float, round_trip_ms: float | None) -> Quality:
    """`loss` is a fraction of 1; without a round trip the network's own delay counts as none."""
    found = IMPAIRMENTS.get(codec.upper(), UNKNOWN)
    jitter = min(max(jitter_ms, 0.0), MAX_JITTER_MS)
    delay = (round_trip_ms or 0.0) / 2 + FRAME_MS + 2 * jitter + found.lookahead_ms
    delay = min(max(delay, 0.0), MAX_DELAY_MS)
    loss = min(max(loss, 0.0), 1.0)
    rating = r_factor(delay, loss_percent=100 * loss, impairment=found)
    return Quality(r=rating, mos=mos_of(rating), loss=loss, delay_ms=delay)


def r_factor(delay_ms: float, *, loss_percent: float, impairment: Impairment) -> float:
    """The rating R of a path with so much one-way delay and random loss, 0 to 100."""
    equipment = impairment.equipment
    effective = equipment + (95 - equipment) * loss_percent / (loss_percent + impairment.robustness)
    rating = _signal_to_noise() - SIMULTANEOUS - delay_impairment(delay_ms) - effective
    return min(max(rating, 0.0), 100.0)


def mos_of(r: float) -> float:
    """MOS-CQE of a rating: G.107 annex B."""
    if r <= 6.5153:  # below it the cubic falls under 1
        return 1.0
    if r >= 100:
        return 4.5
    return 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6


def delay_impairment(one_way_ms: float) -> float:
    """Id: talker echo, listener echo and delay itself, for echo paths of the default values."""
    return _talker_echo(one_way_ms) + _listener_echo(2 * one_way_ms) + _too_long(one_way_ms)


def _signal_to_noise() -> float:
    return 15 - 1.5 * (SLR + NOISE_DBM0P)


def _talker_echo(delay: float) -> float:
    terv = TELR - 40 * log10((1 + delay / 10) / (1 + delay / 150)) + 6 * exp(-0.3 * delay**2)
    roe, re = -1.5 * (NOISE_DBM0P - RLR), 80 + 2.5 * (terv - 14)
    half = (roe - re) / 2
    return (half + sqrt(half**2 + 100) - 1) * (1 - exp(-delay))


def _listener_echo(round_trip: float) -> float:
    half = (_signal_to_noise() - 10.5 * (WEPL + 7) * pow(round_trip + 1, -0.25)) / 2
    return half + sqrt(half**2 + 169)


def _too_long(delay: float) -> float:
    if delay <= 100:
        return 0.0
    x = log2(delay / 100)
    steep, slow = pow(1 + pow(x, 6.0), 1 / 6), pow(1 + pow(x / 3, 6.0), 1 / 6)
    return float(25 * (steep - 3 * slow + 2))
