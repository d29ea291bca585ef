"""Music for those who wait: one stream that goes on by itself, and all its listeners are at the same place in it."""

from __future__ import annotations

from typing import Final

from media.prompts import Source, items_of
from media.tones import Tone, pause

# What is heard when the files of a stream cannot be read: a soft note and a rest.
FALLBACK: Final[Source] = (Tone(440.0, 0.8, level_dbm0=-24.0), pause(2.2))


class Music:
    """Files and tones, over and over: `call.on_hold = Music("spring.wav")`, `await call.play(music)`.

    Read and encoded once for each codec, however many listen; each is sent the place where the stream is at that
    moment, so that who is put on hold a second time does not hear the beginning again. Make one and keep it: two of
    them are two streams. When its files cannot be read `fallback` is heard instead.
    """

    __slots__ = ("_began", "fallback", "source")

    def __init__(self, source: Source, *, fallback: Source = FALLBACK) -> None:
        """Raises: TypeError, PromptError for what is no source at all; files are looked for when somebody listens."""
        items_of(source)
        items_of(fallback)
        self.source: Final = source
        self.fallback: Final = fallback
        self._began: float | None = None

    def position(self, now: float, length: float) -> float:
        """Seconds into it at the loop's time `now`, when all of it is `length` seconds long. It begins at the first."""
        if self._began is None:
            self._began = now
        return (now - self._began) % length if length > 0 else 0.0
