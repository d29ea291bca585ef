"""Calls of each kind that are brought up, are sent from, and hung up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pbx.capacity.kinds import PROFILES, MediaKind
from pbx.capacity.rig import Rig, RigError
from voipat.load import Counts, Plan
from voipat.load.fleet import Part

TRIES: Final = 5
SHED_S: Final = 1.0  # what was refused is asked again after so long


@dataclass(frozen=True, slots=True)
class Held:
    """Calls of one kind that are up, by the plans that brought them up."""

    plans: tuple[int, ...] = ()
    calls: int = 0


class HeldCalls:
    """Those that are up now, by their kind. `users` are as many phones as call."""

    def __init__(self, rig: Rig, users: int, progress: Callable[[str], None]) -> None:
        self._generator, self._users, self._progress = rig.generator, users, progress
        self._up: dict[str, Held] = {}

    def calls(self, kind: MediaKind) -> int:
        """How many of this kind are up."""
        return self._up[kind.name].calls

    def hold(self, kind: MediaKind, rate: float) -> None:
        """Brings the kind's calls up; again, and slower, while the daemon refuses some because it is late.

        Raises: RigError when less than a quarter of them can be set up.
        """
        self._progress(f"{kind.title}: calls are set up")
        held, counts = Held(), Counts()
        for _ in range(TRIES):
            missing = kind.calls - held.calls
            plan = self._generator.start(
                Plan(
                    *("call", rate, missing),
                    hold=None,
                    users=(0, self._users),
                    targets=kind.targets,
                    codec=kind.codec,
                    srtp=kind.srtp,
                    media=True,
                )
            )
            counts = self._generator.wait(plan, timeout=missing / rate + 15, held=True)
            held = Held((*held.plans, plan), held.calls + counts.up)
            if held.calls == kind.calls:
                break
            rate /= 2
            time.sleep(SHED_S)
        self._up[kind.name] = held
        if held.calls < kind.calls / 4:
            raise RigError(f"{kind.title}: {held.calls} of {kind.calls} calls can be set up: {told(counts)}")

    def let_go(self, kind: MediaKind, rate: float) -> int:
        """Hangs them up, twice as fast as they came; how many they were."""
        held = self._up.pop(kind.name, Held())
        for plan in held.plans:
            self._generator.hang_up(plan, rate=2 * rate)
            self._generator.wait(plan, timeout=held.calls / rate + 12)
        return held.calls

    def parts(self, kinds: Iterable[MediaKind]) -> list[Part]:
        """What is to be sent, from both sides."""
        parts = []
        for kind in kinds:
            for plan in self._up[kind.name].plans:
                parts.append(Part(plan=plan, codec=kind.codec, srtp=kind.srtp, stamped=kind.stamped))
            if kind.answered is not None:
                profile = PROFILES[kind.answered]
                parts.append(Part(profile=kind.answered, codec=profile.codec, srtp=profile.srtp, stamped=kind.stamped))
        return parts


def told(counts: Counts) -> str:
    """How calls or registrations failed."""
    found = [f"{count} × {status}" for status, count in sorted(counts.statuses.items())]
    return ", ".join([*found, f"{counts.timed_out} without an answer"])
