"""CDRs as files for other programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from pbx import cdr_export, cli
from pbx.cdr import CdrWriter, LegAnswered, LegEnded, LegStarted
from pbx.errors import ExportError
from pbx.output import Row
from pbx.store.sqlite import SqliteStore

START = 1_790_000_000.0
HOSTILE = '=HYPERLINK("http://x","y")'


@pytest.fixture
def store(tmp_path: Path) -> Path:
    opened = SqliteStore.open(tmp_path / "data", wallclock=lambda: START)
    writer = CdrWriter(opened)
    for number, caller in enumerate(("+4930123456", HOSTILE, "a,b\r\nc")):
        started = START + number
        leg = f"leg{number}"
        writer.started(LegStarted(leg, leg, "office.test", "a", "inbound", caller, "1002", f"call-{number}", started))
        writer.answered(LegAnswered(leg, started + 1, "PCMU"))
        writer.ended(LegEnded(leg, started + 5, "answered", "caller", duration_s=5.0, billable_s=4.0))
    opened.close()
    return tmp_path / "data"


def test_csv_has_every_column_and_no_formula(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cdr", "--format", "csv", "--data", str(store)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert list(rows[0]) == list(cdr_export.COLUMNS)
    assert [row["caller"] for row in rows] == ["a,b\r\nc", f"'{HOSTILE}", "+4930123456"]
    assert rows[2]["billable_s"] == "4.0"
    assert rows[2]["codec"] == "PCMU"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t=", "\r=", "\n=", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_begins_as_a_formula_does(sign: str) -> None:
    out = io.StringIO(newline="")
    caller = f'{sign}cmd|"/c calc"!A1'
    cdr_export.write_csv([{"caller": caller, "callee": "1002"}], out)
    out.seek(0)
    (row,) = csv.DictReader(out)
    assert (row["caller"], row["callee"]) == (f"'{caller}", "1002")


def test_jsonl_keeps_what_was_said(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cdr", "--format", "jsonl", "--data", str(store)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[1]["caller"] == HOSTILE
    assert rows[0]["started"] == "2026-09-21T14:13:22.000Z"


def test_parquet_has_moments_and_numbers(store: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    path = tmp_path / "calls.parquet"
    assert cli.main(["cdr", "--format", "parquet", "--output", str(path), "--data", str(store)]) == 0
    table = parquet.read_table(path)
    assert table.num_rows == 3
    assert str(table.schema.field("started").type) == "timestamp[ms, tz=UTC]"
    assert table.column("caller").to_pylist()[1] == HOSTILE
    assert table.column("duration_s").to_pylist() == [5.0, 5.0, 5.0]


def test_parquet_to_a_terminal_is_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cdr", "--format", "parquet", "--data", str(store)]) == 2
    assert "name a file with --output" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cdr", "--format", "csv", "--output", str(tmp_path / "no" / "x.csv"), "--data", str(store)]) == 1
    assert "No such file or directory" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")

    def rows() -> object:
        yield {"id": "1"}
        raise ExportError("the daemon went away")

    with pytest.raises(ExportError):
        cdr_export.write(rows(), "csv", path, io.StringIO())  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_that_are_no_utf8_come_through_parquet_as_escapes(tmp_path: Path) -> None:
    from pyarrow import parquet

    row: Row = {"id": "1", "caller": b"caf\xe9".decode("utf-8", "surrogateescape")}
    cdr_export.write([row], "parquet", tmp_path / "x.parquet", io.StringIO())
    assert parquet.read_table(tmp_path / "x.parquet").column("caller").to_pylist() == ["caf\\udce9"]
