"""`voipat recordings …` and `voipat audit`, on the side of whoever types it."""

from __future__ import annotations

import argparse
import os
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pbx import output
from pbx.control import ControlError
from pbx.output import Row

COLUMNS: Final = ("started", "tenant", "owner", "rule", "caller", "callee", "seconds", "state", "id")
AUDIT_COLUMNS: Final = ("at", "tenant", "actor", "action", "object", "allowed")
TIMES: Final = ("started", "at")

Rows = Callable[[argparse.Namespace, dict[str, object]], Iterator[Row]]


def add_arguments(
    recordings: argparse.ArgumentParser, audit: argparse.ArgumentParser, moment: Callable[[str], float]
) -> None:
    """What the commands take."""
    recordings.add_argument("do", choices=("list", "show", "export", "delete"), help="export writes a WAV file")
    recordings.add_argument("id", metavar="ID", nargs="?", help="as `list` and the `recording` of a CDR have it")
    recordings.add_argument("--output", metavar="FILE", type=Path, help="where export writes; without: ID.wav")
    recordings.add_argument("--extension", metavar="NUMBER", help="list only those of this extension's side")
    recordings.add_argument("--call", metavar="ID", help="list only those of the call with this linked_id")
    recordings.add_argument("--until", metavar="TIME", type=moment, help="as --since")
    for one in (recordings, audit):
        one.add_argument(
            "--since", metavar="TIME", type=moment, help="2026-11-24, '2026-11-24 20:30', or an age: 2h, 7d"
        )
        one.add_argument("--limit", metavar="N", type=int, help="list at most so many of each tenant (100)")
        one.add_argument("--tenant", metavar="DOMAIN", help="only this tenant")


def run(options: argparse.Namespace, rows_of: Rows) -> int:
    """One of the verbs. Raises: ControlError."""
    if options.do == "list":
        names = ("since", "until", "extension", "call", "limit", "tenant")
        rows = rows_of(options, {"do": "list", **_given(options, *names)})
        return _table(options, rows, COLUMNS)
    if options.id is None:
        raise ControlError(f"recordings {options.do} needs the ID of a recording", exit_status=2)
    rows = rows_of(options, {"do": options.do, **_given(options, "id", "tenant")})
    if options.do == "export":
        return _export(options, rows)
    for row in rows:
        if options.json or options.do == "delete":
            print(output.json_line(row) if options.json else f"deleted {output.printable(str(row.get('id')))}")
        else:
            print("\n".join(output.pairs(row)))
    return 0


def run_audit(options: argparse.Namespace, rows_of: Rows) -> int:
    """Who did what. Raises: ControlError."""
    return _table(options, rows_of(options, _given(options, "since", "limit", "tenant")), AUDIT_COLUMNS)


def _export(options: argparse.Namespace, rows: Iterator[Row]) -> int:
    target: Path = options.output or Path(f"{options.id}.wav")
    written, first = 0, next(rows, None)  # who may not hear it finds no empty file
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            while first is not None:
                written += file.write(b64decode(str(first.get("wav"))))
                first = next(rows, None)
    except OSError as error:
        raise ControlError(f"{target}: {error.strerror or error}") from error
    row = {"id": options.id, "file": str(target), "bytes": written}
    print(output.json_line(row) if options.json else output.printable(f"{target}: {written} bytes"), file=sys.stdout)
    return 0


def _table(options: argparse.Namespace, rows: Iterator[Row], columns: tuple[str, ...]) -> int:
    for line in map(output.json_line, rows) if options.json else output.table(rows, columns, times=TIMES):
        print(line)
    return 0


def _given(options: argparse.Namespace, *names: str) -> dict[str, object]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}
