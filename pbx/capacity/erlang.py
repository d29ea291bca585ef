"""Erlang's two formulas: how many channels or agents some traffic needs. Traffic is in erlangs: calls at one time."""

from __future__ import annotations

from math import exp
from typing import Final

MOST: Final = 100_000


def blocking(traffic: float, channels: int) -> float:
    """Erlang B: the share of calls that find every channel taken, and go away."""
    inverse = 1.0
    if traffic <= 0:
        return 0.0 if channels else 1.0
    for channel in range(1, channels + 1):
        inverse = 1 + inverse * channel / traffic
    return 1 / inverse


def channels_for(traffic: float, allowed: float) -> int:
    """The fewest channels that block no more than `allowed` (0 to 1) of the calls."""
    if traffic <= 0:
        return 0
    inverse, channels = 1.0, 0
    while 1 / inverse > allowed and channels < MOST:
        channels += 1
        inverse = 1 + inverse * channels / traffic
    return channels


def traffic_for(channels: int, allowed: float) -> float:
    """The traffic that so many channels carry with no more than `allowed` blocked."""
    low, high = 0.0, float(max(channels, 1)) * 2 / (1 - min(allowed, 0.5))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if blocking(middle, channels) <= allowed else (low, middle)
    return low


def waiting(traffic: float, agents: int) -> float:
    """Erlang C: the share of calls that have to wait. 1 when the agents cannot keep up."""
    if traffic <= 0:
        return 0.0
    if agents <= traffic:
        return 1.0
    blocked = blocking(traffic, agents)
    return blocked / (1 - traffic / agents * (1 - blocked))


def answered_within(traffic: float, agents: int, *, seconds: float, hold: float) -> float:
    """The service level: the share of calls that wait no longer than `seconds`, when calls take `hold`."""
    if agents <= traffic:
        return 0.0
    return 1 - waiting(traffic, agents) * exp(-(agents - traffic) * seconds / hold)


def agents_for(traffic: float, *, level: float, seconds: float, hold: float) -> int:
    """The fewest agents with which `level` of the calls wait no longer than `seconds`."""
    if traffic <= 0:
        return 0
    agents = int(traffic) + 1
    while answered_within(traffic, agents, seconds=seconds, hold=hold) < level and agents < MOST:
        agents += 1
    return agents
