"""Numbers that are not one phone: menus, ring groups, queues, conferences, parking, announcements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pbx.config_table import flag, integer, one_of, seconds
from pbx.objects.shape import Pairs, option, options, pairs
from pbx.objects.words import (
    DIGIT,
    IDENTIFIER,
    NAME,
    NUMBER,
    PIN,
    PROMPT,
    SCRIPT,
    SLOTS,
    TARGET,
    TEXT,
    numbers_of,
)

STRATEGIES: Final = ("simultaneous", "sequence", "random", "rollover", "memory")
QUEUE_STRATEGIES: Final = ("ring_all", "longest_idle", "round_robin", "fewest_calls", "random")


@dataclass(frozen=True, slots=True)
class Menu:
    """Plays a prompt and follows the key that is pressed; `otherwise` after so many wrong or missing ones."""

    number: str = option(NUMBER)
    name: str = option(NAME, "")
    prompt: str = option(PROMPT, "")
    keys: Pairs = pairs(DIGIT, TARGET)
    direct_dial: bool = option(flag, False)
    timeout_s: float = option(seconds(1, 60), 5.0)
    digit_s: float = option(seconds(0.5, 10), 2.0)
    tries: int = option(integer(1, 10), 3)
    wrong_prompt: str = option(PROMPT, "wrong")
    otherwise: str = option(TARGET, "hangup")


@dataclass(frozen=True, slots=True)
class RingGroup:
    """Rings several numbers by a strategy, then goes on to `otherwise`."""

    number: str = option(NUMBER)
    name: str = option(TEXT, "")
    members: tuple[str, ...] = options(NUMBER)
    strategy: str = option(one_of(*STRATEGIES), "simultaneous")
    ring_s: float = option(seconds(1, 3600), 20.0)
    confirm: bool = option(flag, False)
    confirm_prompt: str = option(PROMPT, "confirm")
    otherwise: str = option(TARGET, "hangup")


@dataclass(frozen=True, slots=True)
class Queue:
    """Callers wait with music until an agent is free; `pause_after` calls missed in a row pause an agent, 0 never.

    With `callback` who waits may press 1, hang up, and is called back in turn: `callback_tries` times at most, with
    `callback_retry_s` between two, for `callback_for_s` from the beginning. An answer within `sla_s` counts as in time.
    """

    number: str = option(NUMBER)
    name: str = option(TEXT, "")
    agents: tuple[str, ...] = options(NUMBER)
    strategy: str = option(one_of(*QUEUE_STRATEGIES), "ring_all")
    music: str = option(PROMPT, "music")
    ring_s: float = option(seconds(1, 600), 15.0)
    pause_after: int = option(integer(0, 100), 3)
    wrap_up_s: float = option(seconds(0, 3600), 0.0)
    max_wait_s: float = option(seconds(1, 86_400), 600.0)
    max_callers: int = option(integer(1, 10_000), 100)
    announce_position: bool = option(flag, False)
    announce_every_s: float = option(seconds(5, 3600), 30.0)
    join_empty: bool = option(flag, True)
    sla_s: float = option(seconds(1, 3600), 20.0)
    callback: bool = option(flag, False)
    callback_tries: int = option(integer(1, 10), 3)
    callback_retry_s: float = option(seconds(10, 86_400), 300.0)
    callback_for_s: float = option(seconds(60, 604_800), 14_400.0)
    otherwise: str = option(TARGET, "hangup")


@dataclass(frozen=True, slots=True)
class Conference:
    """A room; with a PIN only who knows it comes in, with `moderator_pin` as its moderator.

    `ends_with_moderator`: when the last moderator leaves, so do all.
    """

    number: str = option(NUMBER)
    name: str = option(TEXT, "")
    pin: str = option(PIN, "", secret=True)
    moderator_pin: str = option(PIN, "", secret=True)
    ends_with_moderator: bool = option(flag, False)
    max_parties: int = option(integer(2, 500), 100)
    announce: bool = option(flag, True)


@dataclass(frozen=True, slots=True)
class Park:
    """A number that parks a call on the first free slot; who dials the slot takes it back.

    After `timeout_s` the parker's phone rings; nobody there, it goes on to `otherwise`.
    """

    number: str = option(NUMBER)
    slots: str = option(SLOTS)
    timeout_s: float = option(seconds(5, 86_400), 120.0)
    music: str = option(PROMPT, "music")
    otherwise: str = option(TARGET, "hangup")

    @property
    def numbers(self) -> list[str]:
        """Every slot."""
        return numbers_of(self.slots) if self.slots else []


@dataclass(frozen=True, slots=True)
class Page:
    """Phones that answer by themselves and are spoken to; `callers` are the extensions that may, all when empty."""

    number: str = option(NUMBER)
    name: str = option(TEXT, "")
    members: tuple[str, ...] = options(NUMBER)
    callers: tuple[str, ...] = options(NUMBER)
    two_way: bool = option(flag, False)
    answer_s: float = option(seconds(1, 30), 5.0)


@dataclass(frozen=True, slots=True)
class Announcement:
    """Plays a prompt and goes on."""

    number: str = option(NUMBER)
    prompt: str = option(PROMPT)
    times: int = option(integer(1, 100), 1)
    answer: bool = option(flag, True)
    otherwise: str = option(TARGET, "hangup")


@dataclass(frozen=True, slots=True)
class Program:
    """A Python file whose function takes the calls to the number."""

    number: str = option(NUMBER)
    file: str = option(SCRIPT)
    function: str = option(IDENTIFIER, "main")
