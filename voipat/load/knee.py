"""The knee of a server: the highest load at which every gate of quality holds, found by search and tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

STEP, PRECISION = 1.25, 0.05
LEAST: Final = 1 / 16  # of the first load: below it nothing is searched
GROWS_TO: Final = 64
BACK: Final = 0.9  # from a load that held once and does not again


@dataclass(frozen=True, slots=True)
class Knee:
    """`good` held, `bad` did not (0: nothing failed up to the most that is tried), for the reason `why`."""

    good: float
    bad: float
    why: str


@dataclass(slots=True)
class Search:
    """`attempt` says why a load does not hold, or nothing; one that fails is tried once more.

    Steps from the first load, up to one that fails twice or down to one that holds, then halves until `precision`. What
    is found has to hold `confirmations` times more; else it goes down from there. When it `is_over`, what is known by
    then is what is found.
    """

    attempt: Callable[[float], str]
    step: float = STEP
    precision: float = PRECISION
    whole: bool = True
    confirmations: int = 0
    is_over: Callable[[], bool] = lambda: False

    def run(self, first: float) -> Knee:
        """From this load on."""
        found = self._bracket(first)
        held = 0
        while found.good >= first * LEAST and held < self.confirmations and not self.is_over():
            if reason := self._twice(found.good):
                found, held = Knee(self._rounded(found.good * BACK), found.good, reason), 0
            else:
                held += 1
        return found

    def _bracket(self, first: float) -> Knee:
        good, bad, why, load = 0.0, 0.0, "", first
        while first * LEAST <= load <= first * GROWS_TO and not self.is_over():
            reason = self._twice(load)
            if reason:
                bad, why = load, reason
            else:
                good = load
            if good and bad and bad - good <= max(self.precision * bad, 1.0 if self.whole else 0.0):
                break
            load = self._rounded(self._next(good, bad))
        return Knee(good, bad, why)

    def _twice(self, load: float) -> str:
        return self.attempt(load) and self.attempt(load)

    def _next(self, good: float, bad: float) -> float:
        if not bad:
            return good * self.step
        return (good + bad) / 2 if good else bad / self.step

    def _rounded(self, load: float) -> float:
        return float(round(load)) if self.whole else load
