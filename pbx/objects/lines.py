"""Calls from and to the outside: numbers of ours, routes over trunks, emergency, what is refused, what is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pbx.config_table import flag, integer, one_of, text_like
from pbx.objects.patterns import PATTERN
from pbx.objects.shape import option, options
from pbx.objects.words import CSV_FILE, E164, NAME, NUMBER, PROMPT, TARGET, TEXT, TIME_OF_DAY

DIRECTIONS: Final = ("inbound", "outbound", "internal", "any")
_DIGITS = text_like(r"[0-9*#+]{0,16}", "up to 16 digits")
_PLAIN = text_like(r"[0-9]{2,6}", "a short number of 2 to 6 digits such as '112'")
_ACCESS = text_like(r"[0-9*#]{1,4}", "digits dialled before a number, such as '9'")


@dataclass(frozen=True, slots=True)
class Did:
    """Where calls to a number of ours go that come in by a trunk; `closed` outside `times`.

    In queues those of a higher `queue_priority` come first.
    """

    number: str = option(PATTERN)
    target: str = option(TARGET)
    times: str = option(NAME, "")
    closed: str = option(TARGET, "hangup")
    trunk: str = option(NAME, "")
    callers: tuple[str, ...] = options(PATTERN)
    priority: int = option(integer(-1000, 1000), 0)
    queue_priority: int = option(integer(0, 100), 0)
    name: str = option(TEXT, "")


@dataclass(frozen=True, slots=True)
class OutboundRoute:
    """Numbers that go out: `strip` so many digits, put `add` before, and make it E.164 unless `raw`.

    With `rates` a file says by the number's prefix which trunks are tried (`pbx.rates`); `trunks` need not be there.
    """

    name: str = option(NAME)
    pattern: str = option(PATTERN)
    trunks: tuple[str, ...] = options(NAME)
    strip: int = option(integer(0, 16), 0)
    add: str = option(_DIGITS, "")
    raw: bool = option(flag, False)
    classes: tuple[str, ...] = options(NAME)
    times: str = option(NAME, "")
    caller_id: str = option(E164, "")
    priority: int = option(integer(-1000, 1000), 0)
    rates: str = option(CSV_FILE, "")


@dataclass(frozen=True, slots=True)
class Emergency:
    """Numbers that always go out, whatever limit is reached; also after an access code, which is taken away."""

    numbers: tuple[str, ...] = options(_PLAIN)
    access: tuple[str, ...] = options(_ACCESS)
    trunks: tuple[str, ...] = options(NAME)
    caller_id: str = option(E164, "")
    notify: tuple[str, ...] = options(NUMBER)

    def number_of(self, dialled: str) -> str | None:
        """The emergency number that was dialled, with or without an access code."""
        if dialled in self.numbers:
            return dialled
        for access in self.access:
            if dialled.startswith(access) and dialled[len(access) :] in self.numbers:
                return dialled[len(access) :]
        return None


@dataclass(frozen=True, slots=True)
class Screening:
    """Callers from outside who are refused; `own_numbers`: what to do with one who shows a number of ours."""

    block: tuple[str, ...] = options(PATTERN)
    anonymous: str = option(one_of("accept", "reject"), "accept")
    own_numbers: str = option(one_of("accept", "mark", "reject"), "mark")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tenant may use at once and in a minute; calls to other countries only with `international`."""

    max_calls: int | None = option(integer(1, 100_000), None)
    calls_per_second: int | None = option(integer(1, 10_000), None)
    outside_calls: int | None = option(integer(1, 100_000), None)
    outside_calls_per_minute: int | None = option(integer(1, 100_000), None)
    outside_calls_per_day: int | None = option(integer(1, 10_000_000), None)
    international: bool = option(flag, False)
    notify: tuple[str, ...] = options(NUMBER)
    premium: tuple[str, ...] = options(PATTERN)
    recordings_days: int = option(integer(0, 36_500), 0)
    cdr_days: int = option(integer(0, 36_500), 0)


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What both sides hear before a supervisor hears them: `tone`, a prompt, or `none`."""

    announcement: str = option(PROMPT, "tone")


@dataclass(frozen=True, slots=True)
class HotDesking:
    """When everybody is logged out of the desks each day, in the tenant's time zone; "" is never."""

    log_out_at: str = option(TIME_OF_DAY, "")


@dataclass(frozen=True, slots=True)
class ClassOfService:
    """What extensions of this class may call: outbound routes by name, other countries, premium numbers."""

    name: str = option(NAME)
    routes: tuple[str, ...] = options(NAME)
    outside: bool = option(flag, True)
    international: bool = option(flag, False)
    premium: bool = option(flag, False)


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """Which calls are recorded, and what is said before."""

    name: str = option(NAME)
    extensions: tuple[str, ...] = options(NUMBER)
    trunks: tuple[str, ...] = options(NAME)
    queues: tuple[str, ...] = options(NUMBER)
    direction: str = option(one_of(*DIRECTIONS), "any")
    announcement: str = option(PROMPT, "")
    consent: bool = option(flag, False)
    pause: bool = option(flag, True)
