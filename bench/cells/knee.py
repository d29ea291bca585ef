"""The knee of a scenario: the highest load at which every gate of quality holds, found by search.

Gates: no unit failed and no packet was lost, less than 0.1 % of the messages were repeated, the p99 of a set-up is
under 200 ms, MOS at least 4.3 and no phone waited longer than 60 ms for a packet, and the generator was not the limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.cells.trial import Trial

REPEATED, SETUP_MS, MOS, GAP_MS = 0.001, 200.0, 4.3, 60.0
STEP, PRECISION = 1.25, 0.05
LEAST = 1 / 16  # of the first load: below it nothing is searched
GROWS_TO = 64


@dataclass(frozen=True, slots=True)
class Knee:
    """`good` held, `bad` did not (0: nothing failed up to the most that is tried), for the reason `why`."""

    good: float
    bad: float
    why: str


def fault(trial: Trial) -> str:
    """The gate that the trial did not pass, or nothing."""
    if trial.proof.faults():
        return f"INVALID: {', '.join(trial.proof.faults())}"
    if trial.failed:
        return f"{trial.failed} failed or lost"
    if trial.repeated > REPEATED:
        return f"{trial.repeated:.2%} repeated"
    ceilings = {"INVITE to 200, p99": SETUP_MS, "longest gap at a phone": GAP_MS}
    for key, value in trial.beside.items():
        what, _, unit = key.rpartition("/")
        if value > ceilings.get(what, value):
            return f"{what} {value:.0f} {unit}"
        if what == "quality" and value < MOS:
            return f"MOS {value:.2f}"
    return ""


def search(first: float, attempt: Callable[[float], str], *, whole: bool = True) -> Knee:
    """Steps of a quarter from `first`, up to the first load that fails twice or down to one that holds, then halves.

    `attempt` says why a load does not hold, or nothing; one that fails is tried once more.
    """

    def twice(load: float) -> str:
        return attempt(load) and attempt(load)

    good, bad, why, load = 0.0, 0.0, "", first
    while first * LEAST <= load <= first * GROWS_TO:
        reason = twice(load)
        if reason:
            bad, why = load, reason
        else:
            good = load
        if good and bad and bad - good <= max(PRECISION * bad, 1.0 if whole else 0.0):
            break
        load = _next(good, bad)
        if whole:
            load = float(round(load))
    return Knee(good, bad, why)


def _next(good: float, bad: float) -> float:
    if not bad:
        return good * STEP
    return (good + bad) / 2 if good else bad / STEP
