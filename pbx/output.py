"""What the command line prints: aligned tables for people, one JSON object a line for programs.

Cells come from strangers (a User-Agent, a display name): control bytes never reach the operator's terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

Row = Mapping[str, object]

MAX_CELL = 60
COLUMN_GAP = "  "
# Alignment needs the widths of all rows; beyond this many the widths of the first ones are kept, so that a
# million CDRs stream in constant memory.
ROWS_MEASURED = 200


def printable(text: str) -> str:
    """The text with every control, format and unpaired surrogate character escaped."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def json_line(row: Row) -> str:
    """One row as one line of ASCII JSON; times are RFC 3339 strings in UTC when the row gives datetimes."""
    return json.dumps(dict(row), separators=(", ", ": "), default=_plain)


def local_time(value: object) -> str:
    """A time of the row (RFC 3339 text or datetime) in the operator's zone, to the second."""
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return _text(value)
    if not isinstance(moment, datetime):
        return _text(value)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def rfc3339(moment: datetime) -> str:
    """The moment in UTC with milliseconds, as every JSON row writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def table(rows: Iterable[Row], columns: Sequence[str], *, times: Sequence[str] = ()) -> Iterator[str]:
    """Lines of an aligned table: headings, then one line per row; `times` names the columns that are moments."""
    formats: list[Callable[[object], str]] = [local_time if column in times else _text for column in columns]
    cells = ([_clip(show(row.get(column))) for show, column in zip(formats, columns, strict=True)] for row in rows)
    measured = [[column.upper() for column in columns]]
    for line in cells:
        measured.append(line)
        if len(measured) > ROWS_MEASURED:
            break
    widths = [max(len(line[index]) for line in measured) for index in range(len(columns))]
    for line in measured:
        yield _aligned(line, widths)
    for line in cells:
        yield _aligned(line, widths)


def pairs(row: Row) -> Iterator[str]:
    """Lines `name  value` of one object, names aligned."""
    width = max((len(name) for name in row), default=0)
    for name, value in row.items():
        yield f"{name.ljust(width)}{COLUMN_GAP}{_text(value)}"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return COLUMN_GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _text(value: object) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case str():
            return printable(value)
        case dict() | list() | tuple():
            return printable(json.dumps(value, default=_plain))
    return printable(str(value))


def _clip(cell: str) -> str:
    return cell if len(cell) <= MAX_CELL else cell[: MAX_CELL - 1] + "…"


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _plain(value: object) -> object:
    return rfc3339(value) if isinstance(value, datetime) else str(value)
