"""The values that objects are made of: numbers, targets, names, PINs, times of day, dates; each a converter."""

from __future__ import annotations

import re
import zoneinfo
from datetime import date
from typing import Final

from pbx.config_table import Converter, text_like

NUMBER_PATTERN: Final = r"[0-9A-Za-z*#+._-]{1,32}"
NUMBER_ALLOWED: Final = "up to 32 digits, letters or any of * # + . _ - in quotes"

NUMBER: Final[Converter[str]] = text_like(NUMBER_PATTERN, NUMBER_ALLOWED)
CODE: Final[Converter[str]] = text_like(
    r"[*#0-9]{1,8}", "one to eight of the digits, * and #, such as '*43'; \"\" switches it off"
)
DIGIT: Final[Converter[str]] = text_like(r"[0-9*#]", "one of the digits, * and #")
PIN: Final[Converter[str]] = text_like(r"[0-9]{4,16}", "4 to 16 digits in quotes")
# A file of a prompt is found below the folder of the tenant's language: never above it (security.md H19).
PROMPT: Final[Converter[str]] = text_like(
    r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,3}", "the name of a prompt, such as 'main' or 'menus/main'"
)
NAME: Final[Converter[str]] = text_like(r"[A-Za-z0-9_.-]{1,64}", "a name of letters, digits and . _ - in quotes")
LANGUAGE: Final[Converter[str]] = text_like(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?", "a language such as 'en' or 'de-AT'")
E164: Final[Converter[str]] = text_like(r"\+[1-9][0-9]{3,14}", "a number in E.164 such as '+12025550100'")
EMAIL: Final[Converter[str]] = text_like(r"[^@\s<>,;]{1,64}@[A-Za-z0-9.-]{1,255}", "an e-mail address")
SCRIPT: Final[Converter[str]] = text_like(
    r"/[^\x00-\x1f\x7f]{1,1024}\.py", "the absolute path of a Python file such as '/etc/voipat/hello.py'"
)
CSV_FILE: Final[Converter[str]] = text_like(
    r"/[^\x00-\x1f\x7f]{1,1024}\.csv", "the absolute path of a CSV file such as '/etc/voipat/rates.csv'"
)
IDENTIFIER: Final[Converter[str]] = text_like(r"[A-Za-z_][A-Za-z0-9_]{0,63}", "the name of a function such as 'main'")
TEXT: Final[Converter[str]] = text_like(r"[^\x00-\x1f\x7f]{0,128}", "up to 128 characters of one line")

_TARGET: Final = re.compile(rf"(mailbox:)?{NUMBER_PATTERN}|hangup")
_RANGE: Final = re.compile(r"(\d{1,12})-(\d{1,12})")
_HOURS: Final = re.compile(
    r"(?:(?P<days>(?:mon|tue|wed|thu|fri|sat|sun)(?:[-,](?:mon|tue|wed|thu|fri|sat|sun)){0,6}) )?"
    r"(?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)"
)
_YEARLY: Final = re.compile(r"\d\d-\d\d")
# Long enough for any bank of slots, short enough to be listed.
MAX_SLOTS: Final = 1000


def code_or_none(value: object) -> str | None:
    """A feature code; "" is none."""
    return None if value == "" else CODE(value)


def prompt_or_silence(value: object) -> str:
    """A prompt; "" is none."""
    return "" if value == "" else PROMPT(value)


def target_text(value: object) -> str:
    """Where a call goes on: a number of the tenant, `mailbox:NUMBER`, or `hangup`."""
    if not isinstance(value, str) or not _TARGET.fullmatch(value):
        raise ValueError("a number of this tenant, 'mailbox:NUMBER' or 'hangup'")
    return str(value)


def hours_text(value: object) -> str:
    """Hours of a week such as `mon-fri 09:00-17:00`; without days every day; an end before the start is next day's."""
    allowed = "hours such as 'mon-fri 09:00-17:00' or '22:00-06:00', 24:00 is the end of the day"
    match = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(allowed)
    for moment in (match["start"], match["end"]):
        hour, minute = int(moment[:2]), int(moment[3:])
        if minute > 59 or hour > 24 or (hour == 24 and minute):
            raise ValueError(allowed)
    if match["start"] == match["end"]:
        raise ValueError(allowed + "; start and end are the same")
    return str(value)


def moment_text(value: object) -> str:
    """A time of day `HH:MM`; "" is none."""
    if value == "" or (isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value)):
        return str(value)
    raise ValueError("a time of day such as '20:00'")


def day_text(value: object) -> str:
    """A date `2026-12-25`, or `12-25` for every year."""
    allowed = "a date such as '2026-12-25', or '12-25' for every year"
    if isinstance(value, date):
        value = value.isoformat()
    try:
        text = value if isinstance(value, str) else ""
        date.fromisoformat(f"2000-{text}" if _YEARLY.fullmatch(text) else text)
    except ValueError:
        raise ValueError(allowed) from None
    return text


def zone_text(value: object) -> str:
    """A time zone by its name in the tz database."""
    try:
        if not isinstance(value, str) or not value or value.startswith(("/", ".")):
            raise ValueError
        zoneinfo.ZoneInfo(value)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError):
        raise ValueError("a time zone such as 'Europe/Berlin'") from None
    return str(value)


def slots_text(value: object) -> str:
    """A range of numbers of one length, such as `801-810`."""
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None or len(match[1]) != len(match[2]) or not 0 <= int(match[2]) - int(match[1]) < MAX_SLOTS:
        raise ValueError(f"a range of up to {MAX_SLOTS} numbers of one length, such as '801-810'")
    return match[0]


def numbers_of(text: str) -> list[str]:
    """Every number of a range that `SLOTS` took."""
    first, _, last = text.partition("-")
    return [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]


TARGET: Final[Converter[str]] = target_text
HOURS: Final[Converter[str]] = hours_text
DAY: Final[Converter[str]] = day_text
TIME_OF_DAY: Final[Converter[str]] = moment_text
ZONE: Final[Converter[str]] = zone_text
SLOTS: Final[Converter[str]] = slots_text
