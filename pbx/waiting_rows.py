"""What `voipat messages` does at the daemon; each deletion is audited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

from pbx.audit import OPERATOR, Audit
from pbx.control import ControlError
from pbx.output import Row, rfc3339
from pbx.store.base import TextRecord
from pbx.waiting_cli import NOT_FOUND, USAGE
from pbx.waiting_messages import WaitingMessages


async def message_rows(waiting: WaitingMessages, audit: Audit, arguments: Mapping[str, object]) -> AsyncIterator[Row]:
    """The answer of the daemon. Raises: ControlError."""
    wanted = {name: None if (value := arguments.get(name)) is None else str(value) for name in ("tenant", "to", "id")}
    match str(arguments.get("action")):
        case "list":
            for domain, record in waiting.rows(wanted["tenant"], wanted["to"]):
                yield text_row(domain, record)
        case "delete":
            found = waiting.delete(wanted["tenant"], wanted["id"] or "")
            if found is None:
                raise ControlError(f"there is no message {wanted['id']}", exit_status=NOT_FOUND)
            audit.note(found[0], OPERATOR, "text-deleted", found[1].id)
            yield {"id": found[1].id, "deleted": True}
        case other:
            raise ControlError(f"there is no messages {other}", exit_status=USAGE)


def text_row(tenant: str, record: TextRecord) -> Row:
    """A message as the command shows it, without what it says."""
    return {
        "id": record.id,
        "tenant": tenant,
        "sender": record.sender,
        "recipient": record.recipient,
        "received": rfc3339(datetime.fromtimestamp(record.received, UTC)),
        "bytes": record.bytes,
        "state": record.state,
    }
