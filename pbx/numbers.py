"""What people dial and write, as E.164: `(030) 12 34-56` in Germany is `+4930123456`. RFC 3966, E.164.

    as written                         → `+` and digits
    an emergency number                as dialled, never changed, whatever else would fit
    + digits                           the same digits
    international prefix (00, 011)     the digits after it
    national prefix (0, 1)             country code and the digits after it
    digits alone                       country code, area code when the plan has one, digits

Visual separators go, parameters of tel URIs too; letters, `*` and `#` are no number. Extensions and feature codes are
no business of this module: dial plans ask here for what is left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sipcore.errors import ParseError
from sipcore.uri import unescape
from voipat import reasons
from voipat.reasons import Reason

# E.164 §6.2.1: at most 15 digits with the country code; no plan in use has fewer than this (Niue: +683 4xxx).
LONGEST: Final = 15
SHORTEST: Final = 7
MAX_WRITTEN: Final = 64
# RFC 3966 §5.1.1, and what people put between digits beside these.
_SEPARATORS: Final = str.maketrans("", "", "-.() /\u00a0\u2010\u2011\u2013\t")
_DIGITS: Final = re.compile(r"\+?[0-9]+")


class InvalidNumberError(Exception):
    """This is no number that could be called; `reason` is for the caller: 484, or 404 for what is no number at all."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(f"{text[:MAX_WRITTEN]!r}: {reason.text}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class NumberPlan:
    """How a tenant's country writes numbers. `area` is what local numbers lack; `subscriber` how long these are.

    `national` is "" where there is no such prefix (Spain, Denmark).
    """

    country: str
    international: tuple[str, ...] = ("00",)
    national: str = "0"
    area: str = ""
    subscriber: int = 0
    emergency: frozenset[str] = frozenset({"112", "911"})


NANP: Final = NumberPlan("1", ("011",), "1", subscriber=7)


def normalise(plan: NumberPlan, written: str) -> str:
    """The number as `+` and digits, or an emergency number as it is.

    Raises: InvalidNumberError.
    """
    text = bare(written)
    if text in plan.emergency:
        return text
    if not _DIGITS.fullmatch(text):
        raise InvalidNumberError(reasons.UNALLOCATED, written)
    found = _global(plan, text)
    # A country code never begins with 0 (E.164 annex D).
    if len(found) > LONGEST or found[:1] == "0":
        raise InvalidNumberError(reasons.UNALLOCATED, written)
    if len(found) < SHORTEST:
        raise InvalidNumberError(reasons.INVALID_NUMBER, written)
    return f"+{found}"


def bare(written: str) -> str:
    """Digits and a + without what stands between them for the eye, and without parameters (`;ext=5;npdi;rn=…`)."""
    if len(written) > MAX_WRITTEN * 4:
        return ""
    try:
        text = unescape(written)
    except ParseError:
        return ""
    text = text.partition(";")[0].removeprefix("tel:")
    # "+49 (0)30 …": the national prefix in brackets belongs to a number without the country code.
    if text.lstrip().startswith("+"):
        text = text.replace("(0)", "")
    return text.translate(_SEPARATORS)


def _global(plan: NumberPlan, text: str) -> str:
    """Country code and national number, digits alone."""
    if text.startswith("+"):
        return text[1:]
    for prefix in plan.international:
        if text.startswith(prefix):
            return text[len(prefix) :]
    if plan.national and text.startswith(plan.national):
        return plan.country + text[len(plan.national) :]
    if plan.area and (not plan.subscriber or len(text) <= plan.subscriber):
        return plan.country + plan.area + text
    if plan.subscriber and len(text) <= plan.subscriber:
        # A local number, and nobody said of which area.
        return text[: SHORTEST - 1]
    return plan.country + text
