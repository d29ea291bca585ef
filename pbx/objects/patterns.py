"""Number patterns of the dial plan, with one defined winner.

`X` is 0-9, `Z` 1-9, `N` 2-9, `[1-5*]` one of these, `.` one or more of anything at the end, `!` none or more at the
end; all else stands for itself. `re:…` is a regular expression of a kind that cannot take long.

Of several patterns that match a number the one with the higher `priority` wins, then the one that leaves less open at
the first place where they differ, then the one written first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pbx.config_table import Converter

MAX_PATTERN: Final = 64
# Longer than any number that can be dialled (RFC 3966 leaves it open; E.164 ends at 15).
MAX_DIALLED: Final = 64
_CLASSES: Final = {"X": "0123456789", "Z": "123456789", "N": "23456789"}
_LITERAL: Final = re.compile(r"[0-9*#+a-z_-]")
_ALLOWED: Final = "a pattern of digits, X (0-9), Z (1-9), N (2-9), [1-5], and . or ! at the end, or 're:…'"
_OPEN_END: Final = 1000
_REGEX_RANK: Final = 2000
_MAX_UNBOUNDED: Final = 2


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern; `tail` is "", "." or "!"; a regular expression has no places."""

    text: str
    places: tuple[frozenset[str], ...] = ()
    tail: str = ""
    expression: re.Pattern[str] | None = None

    def matches(self, number: str) -> bool:
        """Whether the whole number fits."""
        if len(number) > MAX_DIALLED:
            return False
        if self.expression is not None:
            return self.expression.fullmatch(number) is not None
        fixed, count = len(self.places), len(number)
        if count < fixed + (self.tail == ".") or (not self.tail and count != fixed):
            return False
        return all(digit in place for digit, place in zip(number, self.places, strict=False))

    @property
    def rank(self) -> tuple[int, ...]:
        """Sorts before the rank of a pattern that leaves more open."""
        if self.expression is not None:
            return (_REGEX_RANK,)
        end = {"": (), ".": (_OPEN_END,), "!": (_OPEN_END + 1,)}[self.tail]
        return (*(len(place) for place in self.places), *end)

    def covers(self, other: Pattern) -> bool:
        """Whether every number that fits `other` fits this one too."""
        if self.expression is not None or other.expression is not None:
            return self.text == other.text
        mine, theirs = len(self.places), len(other.places)
        if theirs < mine or (not self.tail and (theirs > mine or other.tail)):
            return False
        if self.tail == "." and theirs == mine and other.tail != ".":
            return False
        return all(a >= b for a, b in zip(self.places, other.places, strict=False))


def pattern_text(value: object) -> str:
    """The text of a pattern that can be compiled."""
    if not isinstance(value, str):
        raise ValueError(_ALLOWED)
    compiled(value)
    return str(value)


@lru_cache(maxsize=4096)
def compiled(text: str) -> Pattern:
    """The pattern. Raises: ValueError with what is allowed."""
    if not 1 <= len(text) <= MAX_PATTERN:
        raise ValueError(f"{_ALLOWED}; up to {MAX_PATTERN} characters")
    if text.startswith("re:"):
        return Pattern(text, expression=_expression(text[3:]))
    places: list[frozenset[str]] = []
    at, tail = 0, ""
    while at < len(text):
        letter = text[at]
        if letter in ".!" and at == len(text) - 1:
            tail = letter
        elif letter == "[":
            end = text.find("]", at)
            places.append(_members(text[at + 1 : end] if end > 0 else ""))
            at = end
        elif letter in _CLASSES:
            places.append(frozenset(_CLASSES[letter]))
        elif _LITERAL.fullmatch(letter):
            places.append(frozenset(letter))
        else:
            raise ValueError(_ALLOWED)
        at += 1
    return Pattern(text, tuple(places), tail)


def _members(text: str) -> frozenset[str]:
    found: set[str] = set()
    for first, last in re.findall(r"([0-9*#])(?:-([0-9]))?", text):
        if last and not (first.isdigit() and first <= last):
            raise ValueError(_ALLOWED)
        found.update(str(digit) for digit in range(int(first), int(last) + 1)) if last else found.add(first)
    if not found or not re.fullmatch(r"(?:[0-9*#](?:-[0-9])?)+", text):
        raise ValueError(_ALLOWED)
    return frozenset(found)


def _expression(text: str) -> re.Pattern[str]:
    """A regular expression that cannot backtrack for long.

    No repeated group, no backreference, no look-around, and at most two open repetitions: on the 64 characters of the
    longest number that is a few thousand steps.
    """
    allowed = (
        "a regular expression without repeated groups, backreferences and look-arounds, with at most two of * and +"
    )
    # A class is one character: what is in it does not count.
    bare = re.sub(
        r"\[[^\]]*\]|\\.", lambda match: "1" if match[0][:2] != "\\1" and not _refers(match[0]) else "(?", text
    )
    if "(?" in bare or re.search(r"\)[*+?{]", bare) or len(re.findall(r"[*+]|\{\d*,\}", bare)) > _MAX_UNBOUNDED:
        raise ValueError(allowed)
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError):
        raise ValueError(allowed) from None


def _refers(text: str) -> bool:
    return len(text) == 2 and text[0] == "\\" and text[1].isdigit()


PATTERN: Final[Converter[str]] = pattern_text
