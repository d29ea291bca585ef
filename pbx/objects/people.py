"""What belongs to one extension: its mailbox, forwards, and what it may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pbx.config_table import flag, integer, one_of, seconds
from pbx.objects.shape import option
from pbx.objects.words import EMAIL, LANGUAGE, PIN, TARGET

FORWARDS: Final = ("always", "busy", "no_answer", "unreachable")
RECORDING: Final = ("never", "on_demand", "always")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Takes messages when the extension is busy, does not answer or cannot be reached."""

    pin: str = option(PIN, "", secret=True)
    email: str = option(EMAIL, "")
    email_attach: bool = option(flag, True)
    email_delete: bool = option(flag, False)
    language: str = option(LANGUAGE, "")
    max_messages: int = option(integer(1, 10_000), 100)
    max_message_s: float = option(seconds(10, 3600), 180.0)
    enabled: bool = option(flag, True)


@dataclass(frozen=True, slots=True)
class Forwards:
    """Where calls of an extension go instead, by cause; "" is nowhere. A phone's own setting wins over these."""

    always: str = option(TARGET, "")
    busy: str = option(TARGET, "")
    no_answer: str = option(TARGET, "")
    unreachable: str = option(TARGET, "")


RECORD = one_of(*RECORDING)
# The most that an extension may do with the conversations of others.
MONITOR = one_of("never", "listen", "whisper", "barge")
