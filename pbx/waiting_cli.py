"""`voipat messages`: the text messages that wait for who is away, for who runs the daemon."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from pbx import output
from pbx.control import ControlError
from pbx.output import Row

COLUMNS: Final = ("received", "tenant", "sender", "recipient", "bytes", "state", "id")
TIMES: Final = ("received",)
USAGE: Final = 2
NOT_FOUND: Final = 3

Ask = Callable[[dict[str, object]], Iterator[Row]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What follows `voipat messages`."""
    parser.add_argument("action", choices=("list", "delete"), help="what they say is shown to nobody")
    parser.add_argument("id", metavar="ID", nargs="?", help="of a message, as list shows it")
    parser.add_argument("--tenant", metavar="DOMAIN", help="only messages of this tenant")
    parser.add_argument("--to", metavar="NUMBER", help="list only those to this extension")


def run(options: argparse.Namespace, ask: Ask) -> int:
    """Do it; the exit status. Raises: ControlError."""
    if options.action == "delete" and options.id is None:
        raise ControlError("messages delete needs the ID of a message", exit_status=USAGE)
    names = ("action", "id", "tenant", "to")
    rows = ask({name: value for name in names if (value := getattr(options, name)) is not None})
    if options.json:
        lines: Iterable[str] = map(output.json_line, rows)
    elif options.action == "list":
        lines = output.table(rows, COLUMNS, times=TIMES)
    else:
        lines = (f"deleted {output.printable(str(row.get('id')))}" for row in rows)
    for line in lines:
        print(line)
    return 0


def stored(data: Path, arguments: dict[str, object]) -> Iterator[Row]:
    """The list out of the store of a daemon that is down. Raises: ControlError, DataDirectoryError."""
    from pbx.store.sqlite import StoreReader
    from pbx.waiting_rows import text_row

    if arguments["action"] != "list":
        raise ControlError("the daemon must run for that", exit_status=NOT_FOUND)
    tenant, recipient = arguments.get("tenant"), arguments.get("to")
    with StoreReader(data) as reader:
        for domain in reader.domains():
            for record in reader.tenant(domain).load_texts():
                if tenant in (None, domain) and recipient in (None, record.recipient):
                    yield text_row(domain, record)
