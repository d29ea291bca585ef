"""Prompts by name: a folder per language, then the set that is shipped, and a tone for a name that neither has.

    FOLDER/en/main.wav   FOLDER/de/menus/main.opus

Names come from the configuration and are checked there; the folder is read once, so that no call waits for the disk and
no name leads out of it (security.md H19).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from media.sounds import ENDINGS
from voipat import Tone, pause
from voipat.speech import SHIPPED

Prompt = str | tuple[Tone, ...]

FALLBACK: Final = "en"
# What is heard where there is no recording: a short tone that asks, one that confirms, one that says no.
ASK: Final = (Tone(440.0, 0.4),)
DONE: Final = (Tone(660.0, 0.15), Tone(880.0, 0.25))
WRONG: Final = (Tone((480.0, 620.0), 0.4),)
# Played over and over while somebody waits: three soft notes and a rest.
MUSIC: Final = (
    *(Tone(hertz, 0.6, level_dbm0=-24.0) for hertz in (523.0, 659.0, 784.0)),
    pause(1.4),
)
_TONES: Final[Mapping[str, tuple[Tone, ...]]] = MappingProxyType({"done": DONE, "wrong": WRONG, "music": MUSIC})


@cache
def _shipped() -> Mapping[tuple[str, str], str]:
    """The sets that come with voipat, by language and name."""
    found = {}
    for path in SHIPPED.glob("*/**/*.wav"):
        language, *name = path.relative_to(SHIPPED).with_suffix("").parts
        found[language, "/".join(name)] = str(path)
    return found


class Prompts:
    """What there is to play. Made anew at a reload."""

    def __init__(self, folder: Path | None = None) -> None:
        self._files: dict[tuple[str, str], str] = {}
        for language in sorted(folder.iterdir()) if folder is not None and folder.is_dir() else ():
            if not language.is_dir() or language.is_symlink():
                continue
            for ending in reversed(ENDINGS):  # of several the first ending counts
                for path in language.rglob(f"*{ending}"):
                    if path.is_file() and not path.is_symlink():
                        name = path.relative_to(language).with_suffix("").as_posix()
                        self._files[language.name, name] = str(path)

    def find(self, name: str, language: str) -> Prompt:
        """The prompt in a language (`de-AT`, then `de`, then `en`), or its tone."""
        for wanted in (language, language.partition("-")[0], FALLBACK):
            if (found := self._files.get((wanted, name)) or _shipped().get((wanted, name))) is not None:
                return found
        return _TONES.get(name, ASK)
