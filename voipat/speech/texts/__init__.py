"""What is spoken for each prompt, by language: the source of the recorded sets."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

_LISTS: Final = {"days": ("day-", 0), "months": ("month-", 1), "ordinals": ("ord-", 1)}


def texts(language: str) -> dict[str, str]:
    """Name → text, the numbers and letters included. Raises: FileNotFoundError for a language without texts."""
    with (Path(__file__).parent / f"{language}.toml").open("rb") as file:
        document = tomllib.load(file)
    found = {f"n{number}": str(number) for number in range(100)}
    found |= {f"letter-{chr(code)}": chr(code).upper() for code in range(ord("a"), ord("z") + 1)}
    for section, (prefix, first) in _LISTS.items():
        names = document.get(section, {}).get("names", ())
        found |= {f"{prefix}{number}": text for number, text in enumerate(names, start=first)}
    for section in ("words", "sentences"):
        found |= {str(name): str(text) for name, text in document.get(section, {}).items()}
    return found
