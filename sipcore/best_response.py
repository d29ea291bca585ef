"""Which of the final responses of its branches a proxy passes on: RFC 3261 §16.7, steps 6 and 7."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sipcore.auth import challenges_of
from sipcore.message import Response

# RFC 3261 §16.7, step 6: "responses that provide information affecting resubmission", the rest by their number.
_TELLING: Final = (401, 407, 415, 420, 484)


def best_response(finals: Sequence[tuple[int, Response | None]]) -> tuple[int, Response | None]:
    """RFC 3261 §16.7, step 6: a 6xx, else of the lowest class the one that tells most; 480 for none."""
    if not finals:
        return 480, None
    return min(finals, key=_preference)


def _preference(final: tuple[int, Response | None]) -> tuple[int, int, int]:
    status = final[0]
    if status >= 600:
        return 0, 0, status
    in_class = _TELLING.index(status) if status in _TELLING else len(_TELLING)
    # Of two that tell nothing, one that a phone sent says more than a silence or our own CANCEL.
    return status // 100, in_class, 1000 + status if status in (408, 487, 503) else status


def gather_challenges(response: Response, finals: Iterable[tuple[int, Response | None]]) -> None:
    """Step 7: the caller needs all challenges, or it will never satisfy all branches."""
    for status, other in finals:
        if other is None or other is response or status not in (401, 407):
            continue
        for name, value in challenges_of(other):
            response.headers.add(name, value)
