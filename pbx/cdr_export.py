"""CDRs for other programs: flat rows as CSV, JSON Lines or Parquet, streamed, whatever their number.

What callers write into their names comes out as they wrote it, but for a spreadsheet: a cell that it would take for a
formula is quoted (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from pbx.errors import ExportError
from pbx.output import Row, json_line

if TYPE_CHECKING:
    import pyarrow

# Name → what it is. The order is that of the columns, and stays: a new one comes last.
COLUMNS: Final[Mapping[str, type]] = {
    "id": str,
    "linked_id": str,
    "tenant": str,
    "leg": str,
    "direction": str,
    "caller": str,
    "callee": str,
    "started": str,
    "answered": str,
    "ended": str,
    "duration_s": float,
    "billable_s": float,
    "disposition": str,
    "hangup_by": str,
    "cause_sip": int,
    "cause_q850": int,
    "cause_id": str,
    "recording": str,
    "call_id": str,
    "codec": str,
    "packets": int,
    "loss": float,
    "jitter": float,
    "mos": float,
    "loss_out": float,
    "jitter_out": float,
    "mos_out": float,
    "rtt": float,
    "attempts": int,
    "crypto": str,
    "beside": str,
    "route": str,
}
FORMATS: Final = ("csv", "jsonl", "parquet")
# Rows of one Parquet row group: a million CDRs never stand in memory at once.
GROUP_ROWS: Final = 20_000

# Spreadsheets of East Asia take the full-width signs as well.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# A number in the form of E.164 is what most cells with a plus are, and computes nothing.
_E164: Final = re.compile(r"\+[0-9]{1,32}")


def flat(row: Row) -> dict[str, object]:
    """A CDR with its cause and the side of its leg beside the other columns."""
    cause = row.get("cause")
    side = row.get("a_leg") or row.get("b_leg")
    merged: dict[str, object] = dict(row)
    if isinstance(cause, Mapping):
        merged |= {f"cause_{name}": value for name, value in cause.items()}
    if isinstance(side, Mapping):
        merged |= side
    merged["leg"] = "a" if row.get("a_leg") else "b"
    return {name: merged.get(name) for name in COLUMNS}


def write_csv(rows: Iterable[Row], out: IO[str]) -> int:
    """Rows with a header line; how many. RFC 4180, lines end with CRLF."""
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        writer.writerow([_cell(value) for value in flat(row).values()])
        count += 1
    return count


def write_jsonl(rows: Iterable[Row], out: IO[str]) -> int:
    """One JSON object a line; how many."""
    count = 0
    for row in rows:
        out.write(json_line(flat(row)) + "\n")
        count += 1
    return count


def write_parquet(rows: Iterable[Row], path: Path) -> int:
    """A Parquet file, its moments as timestamps in UTC; how many rows.

    Raises: ExportError when pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ExportError("Parquet needs pyarrow: pip install 'voipat[parquet]'") from None
    schema, as_text = _schema(pyarrow)
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=as_text).cast(schema))
            count += len(group)
    return count


def write(rows: Iterable[Row], form: str, path: Path | None, out: IO[str]) -> int:
    """Rows in one of FORMATS to a file, or to `out` when none is named; how many.

    A file is complete or not there: it gets its name at the end. Raises: ExportError.
    """
    if path is None:
        return _TEXT[form](rows, out)
    partial = path.with_name(f".{path.name}.partial")
    try:
        count = _write_file(rows, form, partial)
        partial.replace(path)
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def _write_file(rows: Iterable[Row], form: str, path: Path) -> int:
    if form == "parquet":
        return write_parquet(rows, path)
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        return _TEXT[form](rows, out)


_TEXT: Final[Mapping[str, Callable[[Iterable[Row], IO[str]], int]]] = {"csv": write_csv, "jsonl": write_jsonl}


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA) and not _E164.fullmatch(value):
        return f"'{value}"
    return "" if value is None else value


def _groups(rows: Iterable[Row]) -> Iterator[list[dict[str, object]]]:
    source = iter(rows)
    while group := [_encodable(flat(row)) for row in islice(source, GROUP_ROWS)]:
        yield group


def _encodable(row: dict[str, object]) -> dict[str, object]:
    """Bytes that are no UTF-8 (SIP carries any) as escapes: Parquet's strings are Unicode."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in row.items()
    }


_MOMENTS: Final = ("started", "answered", "ended")


def _schema(arrow: Any) -> tuple[pyarrow.Schema, pyarrow.Schema]:
    """The file's schema, and that of the rows as they come: moments are RFC 3339 text, which Arrow casts."""
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64()}
    as_text = arrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    moment = arrow.timestamp("ms", tz="UTC")
    fields = [(each.name, moment if each.name in _MOMENTS else each.type) for each in as_text]
    return arrow.schema(fields), as_text
