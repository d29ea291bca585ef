"""Tables for people, JSON lines for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from pbx.output import MAX_CELL, json_line, local_time, pairs, table

MOMENT = datetime(2026, 11, 24, 20, 30, 15, 250_000, tzinfo=UTC)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [{"id": "c1", "caller": "1001"}, {"id": "c20", "caller": None}]
    assert list(table(rows, ("id", "caller"))) == ["ID   CALLER", "c1   1001", "c20  -"]


def test_a_table_without_rows_still_has_its_headings() -> None:
    assert list(table([], ("id",))) == ["ID"]


def test_a_very_long_listing_streams() -> None:
    rows = ({"id": n} for n in range(1000))
    assert sum(1 for _ in table(rows, ("id",))) == 1001


def test_what_a_phone_says_cannot_move_the_cursor_or_fill_the_screen() -> None:
    line = list(table([{"user_agent": "\x1b[2J" + "x" * 500}], ("user_agent",)))[1]
    assert line.startswith("\\x1b[2J") and len(line) == MAX_CELL


def test_json_lines_are_ascii_objects_with_utc_times() -> None:
    line = json_line({"caller": "Jörg\n", "started": MOMENT, "mos": None})
    assert line.isascii() and "\n" not in line
    assert json.loads(line) == {"caller": "Jörg\n", "started": "2026-11-24T20:30:15.250Z", "mos": None}


def test_times_are_local_in_tables() -> None:
    local = MOMENT.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert local_time(MOMENT) == local_time("2026-11-24T20:30:15.250Z") == local
    assert local_time(None) == "-"
    assert local_time("soon") == "soon"
    assert list(table([{"at": MOMENT}], ("at",), times=("at",)))[1] == local


def test_one_object_prints_as_aligned_pairs() -> None:
    assert list(pairs({"calls": 3, "loop_lag_s": 0.0012, "ok": True})) == [
        "calls       3",
        "loop_lag_s  0.001",
        "ok          yes",
    ]
