"""The music of tenants: each file is one stream, however many wait with it, and whoever's they are."""

from __future__ import annotations

from pbx.prompts import MUSIC, Prompt
from voipat import Music

# Streams that are remembered: a name in a language each.
MAX_STREAMS = 256


class Musics:
    """The streams by what is played. Lives as long as the PBX: a reload does not begin them anew."""

    def __init__(self) -> None:
        self._streams: dict[Prompt, Music] = {}
        self._shipped = Music(MUSIC, fallback=MUSIC)

    def of(self, prompt: Prompt) -> Music:
        """The stream of a prompt."""
        if prompt is MUSIC:
            return self._shipped  # without what it takes to hash tones, at every call
        found = self._streams.get(prompt)
        if found is None:
            if len(self._streams) >= MAX_STREAMS:
                del self._streams[next(iter(self._streams))]
            found = self._streams[prompt] = Music(prompt, fallback=MUSIC)
        return found
