"""`voipat messages`: the text messages that wait for who is away, for who runs the daemon."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pbx import output
from pbx.audit import OPERATOR, Audit
from pbx.control import ControlError
from pbx.output import Row, rfc3339
from pbx.store.base import TextRecord
from pbx.waiting_messages import WaitingMessages

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

    if arguments["action"] != "list":
        raise ControlError("the daemon must run for that", exit_status=NOT_FOUND)
    tenant, recipient = arguments.get("tenant"), arguments.get("to")
    with StoreReader(data) as reader:
        for domain in reader.domains():
            for record in reader.tenant(domain).load_texts():
                if tenant in (None, domain) and recipient in (None, record.recipient):
                    yield _row(domain, record)


async def message_rows(waiting: WaitingMessages, audit: Audit, arguments: Mapping[str, object]) -> AsyncIterator[Row]:
    """The answer of the daemon. Raises: ControlError."""
    wanted = {name: None if (value := arguments.get(name)) is None else str(value) for name in ("tenant", "to", "id")}
    match str(arguments.get("action")):
        case "list":
            for domain, record in waiting.rows(wanted["tenant"], wanted["to"]):
                yield _row(domain, record)
        case "delete":
            found = waiting.delete(wanted["tenant"], wanted["id"] or "")
            if found is None:
                raise ControlError(f"there is no message {wanted['id']}", exit_status=NOT_FOUND)
            audit.note(found[0], OPERATOR, "text-deleted", found[1].id)
            yield {"id": found[1].id, "deleted": True}
        case other:
            raise ControlError(f"there is no messages {other}", exit_status=USAGE)


def _row(tenant: str, record: TextRecord) -> Row:
    return {
        "id": record.id,
        "tenant": tenant,
        "sender": record.sender,
        "recipient": record.recipient,
        "received": rfc3339(datetime.fromtimestamp(record.received, UTC)),
        "bytes": record.bytes,
        "state": record.state,
    }
