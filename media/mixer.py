"""A room in which everybody hears everybody else.

What one port hears is the sum of the others, N-1, added in 32 bits and saturated once. Those who do not speak share one
encoding for each codec, so that 200 listeners of one codec cost one encoder. `SpeakingChanged` tells who speaks.
Who has no more than 8 kHz in a room that has more is mixed at 8 kHz, and the two sums are resampled once for all.

An open mixer is for a conversation that is overheard: the quiet are not left out, and nobody is told who speaks. Its
members may be connected with each other; who is not `told` hears its peer as before and is only heard here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media._engine import GAIN_ONE, NARROW_RATE, Core, Room
from media.port import Port

MAX_GAIN_DB: Final = 24.0


@dataclass(frozen=True, slots=True)
class _Place:
    gain_db: float = 0.0
    muted: bool = False
    told: bool = True
    aside: int = 0
    confided: int = 0


class Mixer:
    """Made by `Engine.mixer`. A port is in one room at most, and leaves it when it is closed."""

    def __init__(
        self, core: Core, rate: int, worker: int, before: Callable[[], None] | None = None, *, is_open: bool = False
    ) -> None:
        self.rate: Final = rate
        self._core = core
        self._room = Room(rate, worker, is_open)
        self._places: dict[Port, _Place] = {}
        self._before = before
        self._has_narrow: Final = not is_open and rate > NARROW_RATE

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, port: Port) -> bool:
        return port in self._places

    def rate_for(self, natural_rate: int) -> int:
        """The samples a second that the audio of a member should have whose codec has so many."""
        return NARROW_RATE if self._has_narrow and natural_rate <= NARROW_RATE else self.rate

    def add(  # the facts of one place, by keyword
        self,
        port: Port,
        *,
        gain_db: float = 0.0,
        muted: bool = False,
        told: bool = True,
        aside: int = 0,
        confided: int = 0,
    ) -> None:
        """Let the port in, or give it another place. It has audio of this room's `rate` or that of `rate_for`
        (`Engine.set_audio`), with a format to send.

        In an open mixer: without `told` it is heard and hears nothing of it; what it says into the aside 1 or 2 is
        heard by those alone to whom that one is `confided`. Raises: ValueError, StaleHandleError.
        """
        self._put(port, _Place(gain_db, muted, told, aside, confided))

    def remove(self, port: Port) -> None:
        """Let it out; of one that is not in it nothing happens. Raises: StaleHandleError."""
        if self._places.pop(port, None) is not None:
            self._advance()
            self._core.mix(port.id, None, 0, False, False, 0, 0)

    def forget(self, port: Port) -> None:
        """It was closed."""
        self._places.pop(port, None)

    def gain(self, port: Port, db: float) -> None:
        """How loud the others hear it: -60 to 24 dB. Raises: KeyError when it is not in the room, ValueError."""
        self._put(port, replace(self._places[port], gain_db=db))

    def mute(self, port: Port, muted: bool = True) -> None:
        """The others do not hear it. Raises: KeyError when it is not in the room."""
        self._put(port, replace(self._places[port], muted=muted))

    def announce(self, samples: NDArray[np.int16]) -> None:
        """Say samples of the room's rate to all who are in it; one that was being said ends."""
        port = next(iter(self._places), None)
        if port is not None:
            self._advance()
            self._core.announce(port.id, samples)

    def _put(self, port: Port, place: _Place) -> None:
        if not -60.0 <= place.gain_db <= MAX_GAIN_DB:
            raise ValueError(f"{place.gain_db} dB: a gain lies between -60 and {MAX_GAIN_DB:.0f}")
        self._advance()
        gain = round(GAIN_ONE * 10 ** (place.gain_db / 20))
        self._core.mix(port.id, self._room, gain, place.muted, place.told, place.aside, place.confided)
        self._places[port] = place

    def _advance(self) -> None:
        if self._before is not None:
            self._before()
