"""A set of prompts: folders with a folder for each language, searched in order; what is shipped comes last.

A name is a path below the language's folder without its ending ("n23", "vm/greeting"). One that no folder has in the
language is taken from English, so that a caller hears something; one that nobody has is an error, never silence.
Symbolic links in a folder are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from media import PromptMissingError
from media.sounds import ENDINGS
from voipat.speech.language import LANGUAGES, Language
from voipat.speech.values import Spoken

# The English words and sentences of the package, made by `make prompts`.
SHIPPED: Final = Path(__file__).parent / "prompts"
FALLBACK: Final = "en"

# A prompt of the set by its name, or a value that the language's rules put into words.
Said = str | Spoken

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}(/[a-z0-9][a-z0-9_-]{0,63}){0,3}")


@dataclass(frozen=True)
class PromptSet:
    """Prompts in one language. `folders` are searched before the shipped set. Raises: ValueError.

    `missing` is asked for what the language has not, by language and name: the file that a speech synthesiser has made
    of it, or None for English. It is called in the event loop, so it looks up what there is and makes nothing.
    """

    language: str = FALLBACK
    folders: tuple[Path, ...] = ()
    missing: Callable[[str, str], Path | None] | None = None

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(f"{self.language!r} is no language with rules: {', '.join(LANGUAGES)}")

    @property
    def rules(self) -> Language:
        """The language's rules."""
        return LANGUAGES[self.language]

    def in_language(self, language: str) -> PromptSet:
        """The same folders in another language. Raises: ValueError."""
        return replace(self, language=language)

    def path(self, name: str) -> str:
        """The file of a prompt. Raises: PromptMissingError."""
        if not _NAME.fullmatch(name):
            raise PromptMissingError(name, "a prompt's name is of a-z, 0-9, _ and -, with / between folders")
        for language in dict.fromkeys((self.language, FALLBACK)):
            found = self._spoken(language, name)
            if found is not None:
                return found
        raise PromptMissingError(name, f"not in {', '.join(str(each) for each in (*self.folders, SHIPPED))}")

    def has(self, name: str) -> bool:
        """Whether the language itself has the prompt."""
        return self._spoken(self.language, name) is not None

    def say(self, items: Sequence[Said]) -> list[str]:
        """The files of prompts and values, in order. A value is said in one language, English when a word is missing.

        Raises: PromptMissingError, ValueError.
        """
        return [path for item in items for path in self._said(item)]

    def _said(self, item: Said) -> list[str]:
        if isinstance(item, str):
            return [self.path(item)]
        names = self.rules.say(item)
        own = [path for name in names if (path := self._spoken(self.language, name)) is not None]
        if len(own) < len(names):
            return [self.in_language(FALLBACK).path(name) for name in LANGUAGES[FALLBACK].say(item)]
        return own

    def _spoken(self, language: str, name: str) -> str | None:
        """The file in that language alone: of a folder, or made of it."""
        found = self._find(language, name)
        if found is not None or self.missing is None:
            return found
        made = self.missing(language, name)
        return str(made) if made is not None and made.is_file() else None

    def _find(self, language: str, name: str) -> str | None:
        for folder in (*self.folders, SHIPPED):
            for ending in ENDINGS:
                path = folder / language / f"{name}{ending}"
                # Some installers put links in the place of a package's files.
                if path.is_file() and (folder is SHIPPED or not _passes_link(path, folder)):
                    return str(path)
        return None


def _passes_link(path: Path, folder: Path) -> bool:
    """Whether anything below the folder is a symbolic link; the folder itself may be one."""
    while path != folder:
        if path.is_symlink():
            return True
        path = path.parent
    return False
