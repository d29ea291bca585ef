"""A call's samples in a program, and a program's samples in a call: 20 ms at a time, bounded on both ways.

    port ─▶ tape ─▶ Tap.read ─▶ AudioFrame          who is too slow loses the oldest or the newest, and knows how many
    port ◀─ ring ◀─ Speaking.write ◀─ samples       who is too fast finds no room, and waits

Neither ever waits for the other: RTP goes on whatever the program does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from media._tape import HEARD, MIXED, SAID, Speech, Tape

DropPolicy = Literal["oldest", "newest"]
TapSide = Literal["heard", "said", "mixed"]

FRAME_SECONDS: Final = 0.02
# What a tap keeps for its reader: 1.28 s.
TAP_FRAMES: Final = 64
# What may be written ahead: it is also how long a burst is heard late.
SPEAK_SECONDS: Final = 0.4
# What is waited for before a speech begins, so that a writer that is late by as much is not heard as a gap.
LEAD_SECONDS: Final = 0.06

RATES: Final = (8000, 16000, 48000)
_SIDES: Final[dict[TapSide, int]] = {"heard": HEARD, "said": SAID, "mixed": MIXED}


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """20 ms of one channel. `at` is media time: seconds since the port was first listened to; `lost` frames are
    missing before it: the reader was too slow for them, or the machine stood still."""

    samples: NDArray[np.int16]
    rate: int
    at: float
    lost: int = 0

    @property
    def data(self) -> memoryview:
        """The samples, 16 bits each in the machine's order; no copy."""
        return self.samples.data.cast("B")


class Tap:
    """Reads what a port hears or says. For one reader."""

    def __init__(self, number: int, rate: int, *, side: TapSide, drop: DropPolicy, frames: int = TAP_FRAMES) -> None:
        """Raises: ValueError."""
        if drop not in ("oldest", "newest") or side not in _SIDES:
            raise ValueError(f"side {side!r}, drop {drop!r}: heard, said or mixed; oldest or newest")
        _check_rate(rate)
        self.number: Final = number
        self.rate: Final = rate
        self.tape: Final = Tape(number, rate, _SIDES[side], frames, drop == "oldest")

    @property
    def lost(self) -> int:
        """Frames that were dropped because the reader was too slow."""
        return self.tape.lost

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.tape.ended and not self.tape.waiting

    def read(self) -> AudioFrame | None:
        """The next frame, or None when none waits."""
        samples = np.empty(self.tape.samples, np.int16)
        count, tick, gap = self.tape.read(samples)
        return AudioFrame(samples, self.rate, tick * FRAME_SECONDS, gap) if count else None


class Speaking:
    """Writes what a port says. For one writer."""

    def __init__(self, number: int, rate: int) -> None:
        """Raises: ValueError."""
        _check_rate(rate)
        self.number: Final = number
        self.rate: Final = rate
        self._room = round(rate * SPEAK_SECONDS)
        self.speech: Final = Speech(number, rate, 1 << self._room.bit_length(), round(rate * LEAD_SECONDS))

    @property
    def waiting_seconds(self) -> float:
        """What was written and not said yet."""
        return (self.speech.written - self.speech.played) / self.rate

    @property
    def ended(self) -> bool:
        """The port says nothing of this any more."""
        return self.speech.ended

    @property
    def position(self) -> int:
        """Where the next sample will be written; see `seconds_until`."""
        return self.speech.written

    def write(self, samples: NDArray[np.int16]) -> int:
        """How many of the samples found room now."""
        room = self._room - (self.speech.written - self.speech.played)
        self.speech.finish(False)
        return self.speech.write(np.ascontiguousarray(samples[: max(room, 0)]))

    def seconds_until(self, position: int) -> float:
        """When that position will have been said, from now; 0.0 when it was, or was flushed."""
        return max(position - self.speech.played, 0) / self.rate

    def flush(self) -> None:
        """Say nothing of what waits, from the next tick on."""
        self.speech.flush()

    def finish(self) -> None:
        """What waits is all for now: say it, however little it is."""
        self.speech.finish(True)


def _check_rate(rate: int) -> None:
    if rate not in RATES:
        raise ValueError(f"rate {rate}: 8000, 16000 or 48000 samples a second")
