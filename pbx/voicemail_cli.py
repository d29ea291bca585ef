"""`voipat voicemail`: the messages of mailboxes, for who runs the daemon."""

from __future__ import annotations

import argparse
import os
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from pbx import output
from pbx.control import ControlError
from pbx.output import Row

COLUMNS: Final = ("received", "tenant", "mailbox", "caller", "name", "seconds", "folder", "id")
TIMES: Final = ("received",)
ACTIONS: Final = ("list", "show", "export", "delete")
USAGE: Final = 2

Ask = Callable[[dict[str, object]], Iterator[Row]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What follows `voipat voicemail`."""
    parser.add_argument("action", choices=ACTIONS, help="export writes a WAV file")
    parser.add_argument("id", metavar="ID", nargs="?", help="of a message, as list shows it")
    parser.add_argument("--tenant", metavar="DOMAIN", help="only messages of this tenant")
    parser.add_argument("--mailbox", metavar="NUMBER", help="list only this mailbox")
    parser.add_argument("--output", metavar="FILE", help="of export; - is the standard output")


def run(options: argparse.Namespace, ask: Ask) -> int:
    """Do it; the exit status. Raises: ControlError."""
    if options.action != "list" and options.id is None:
        raise ControlError(f"voicemail {options.action} needs the ID of a message", exit_status=USAGE)
    if options.action == "export" and options.output is None:
        raise ControlError("voicemail export needs --output FILE", exit_status=USAGE)
    names = ("action", "id", "tenant", "mailbox")
    rows = ask({name: value for name in names if (value := getattr(options, name)) is not None})
    if options.action == "export":
        return _write(options, rows)
    if options.action == "list" and not options.json:
        lines: Iterable[str] = output.table(rows, COLUMNS, times=TIMES)
    elif options.json:
        lines = map(output.json_line, rows)
    else:
        lines = (line for row in rows for line in output.pairs(row))
    for line in lines:
        print(line)
    return 0


def stored(data: Path, arguments: dict[str, object]) -> Iterator[Row]:
    """The list out of the store of a daemon that is down. Raises: ControlError, DataDirectoryError."""
    from pbx.store.sqlite import StoreReader
    from pbx.voicemail.operator import message_row

    if arguments["action"] == "list":
        tenant, mailbox = arguments.get("tenant"), arguments.get("mailbox")
        with StoreReader(data) as reader:
            for domain in reader.domains():
                for message in reader.tenant(domain).load_messages():
                    is_shown = message.state == "kept" and message.folder != "greeting"
                    if is_shown and tenant in (None, domain) and mailbox in (None, message.mailbox):
                        yield message_row(domain, message)
        return
    raise ControlError("the daemon must run for that: messages are sealed", exit_status=3)


def _write(options: argparse.Namespace, rows: Iterator[Row]) -> int:
    """The sound, for our user alone."""
    first = next(rows, None)  # an error comes before a file is made
    pieces = (b64decode(str(row["wav"])) for row in (*([] if first is None else [first]), *rows))
    if options.output == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return 0
    try:
        descriptor = os.open(options.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            size = sum(file.write(piece) for piece in pieces)
    except OSError as error:
        raise ControlError(f"{options.output}: {error.strerror or error}") from error
    done: Row = {"file": options.output, "bytes": size}
    print(output.json_line(done) if options.json else f"{output.printable(options.output)}: {size} bytes")
    return 0
