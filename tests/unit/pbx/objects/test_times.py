"""Open hours: zones, changes of summer time, holidays, hours over midnight."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from pbx.objects.times import Times, opening

BERLIN = "Europe/Berlin"
OFFICE = Times("office", hours=("mon-fri 09:00-17:00",))
HOLIDAYS = {"2026-12-24": "Heiligabend", "12-25": "Christmas"}


def is_open(times: Times, local: str, *, fold: int = 0, zone: str = BERLIN) -> bool:
    at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()
    return opening(times, at, time_zone=zone, holidays=HOLIDAYS).is_open


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-26T09:00", True),  # a Thursday
        ("2026-11-26T16:59:59", True),
        ("2026-11-26T17:00", False),
        ("2026-11-26T08:59:59", False),
        ("2026-11-28T12:00", False),  # a Saturday
        ("2026-12-24T12:00", False),
        ("2028-12-25T12:00", False),  # every year
        ("2026-12-23T12:00", True),
    ],
)
def test_office_hours(local: str, expected: bool) -> None:
    assert is_open(OFFICE, local) is expected


def test_the_zone_of_the_hours_wins_over_the_tenants() -> None:
    at = datetime.fromisoformat("2026-11-26T08:30+00:00").timestamp()
    assert opening(OFFICE, at, time_zone=BERLIN, holidays={}).is_open
    assert not opening(Times("x", OFFICE.hours, time_zone="Europe/London"), at, time_zone=BERLIN, holidays={}).is_open


def test_the_hour_that_comes_twice_is_open_both_times() -> None:
    night = Times("night", ("sun 02:00-03:00",))
    assert is_open(night, "2026-10-25T02:30", fold=0) and is_open(night, "2026-10-25T02:30", fold=1)


def test_the_hour_that_summer_time_leaves_out_is_nobodys() -> None:
    """At 02:00 the clock goes to 03:00: one second before is not yet, the next one is already over."""
    night = Times("night", ("sun 02:00-03:00",))
    assert not is_open(night, "2026-03-29T01:59:59")
    assert not is_open(night, "2026-03-29T03:00")


def test_hours_over_midnight_belong_to_the_day_on_which_they_began() -> None:
    bar = Times("bar", ("fri 22:00-06:00",))
    assert is_open(bar, "2026-11-27T23:00") and is_open(bar, "2026-11-28T05:59")
    assert not is_open(bar, "2026-11-27T05:00") and not is_open(bar, "2026-11-28T06:00")


def test_days_may_go_over_the_weekend() -> None:
    times = Times("x", ("fri-mon 10:00-11:00",))
    assert [is_open(times, f"2026-11-{day}T10:30") for day in (26, 27, 28, 29, 30)] == [False, True, True, True, True]


def test_closed_on_wins_over_open_on_which_wins_over_holidays_and_hours() -> None:
    times = Times("x", ("mon-fri 09:00-17:00",), closed_on=("2026-12-24",), open_on=("2026-12-24", "12-25", "11-28"))
    assert not is_open(times, "2026-12-24T12:00")
    assert is_open(times, "2026-12-25T12:00") and is_open(times, "2026-11-28T03:00")


def test_an_opening_says_why() -> None:
    at = datetime.fromisoformat("2026-12-25T10:00+01:00").timestamp()
    assert (
        opening(OFFICE, at, time_zone=BERLIN, holidays=HOLIDAYS).why
        == "fri 2026-12-25 10:00 CET is a holiday: Christmas"
    )
