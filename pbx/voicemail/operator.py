"""What `voipat voicemail` does at the daemon; every look into a message is audited."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from media import MediaError
from pbx.audit import OPERATOR, Audit
from pbx.control import ControlError
from pbx.output import Row, rfc3339
from pbx.store.base import MailRecord, MessageRecord
from pbx.voicemail.mailboxes import Mailboxes
from pbx.voicemail.outbox import Outbox

NOT_FOUND: Final = 3
# Of sound in one line of the answer.
_PIECE: Final = 32_768
# No mailbox has more: `max_message_s` is an hour at most.
_MOST: Final = 1 << 30


async def voicemail_rows(
    boxes: Mailboxes, outbox: Outbox, audit: Audit, arguments: Mapping[str, object]
) -> AsyncIterator[Row]:
    """The answer to `voipat voicemail`. Raises: ControlError."""
    action = str(arguments.get("action"))
    wanted, mailbox = (None if (value := arguments.get(name)) is None else str(value) for name in _FILTERS)
    if action == "list":
        for domain, message in boxes.all(wanted, mailbox):
            yield message_row(domain, message, outbox.waiting(domain, message.id))
        return
    tenant, message = _found(boxes, wanted, str(arguments.get("id")))
    match action:
        case "show":
            yield message_row(tenant, message, outbox.waiting(tenant, message.id))
        case "export":
            audit.note(tenant, OPERATOR, "message-exported", message.id)
            for piece in await _sound(boxes, tenant, message):
                yield {"wav": piece}
        case "delete":
            audit.note(tenant, OPERATOR, "message-deleted", message.id)
            boxes.delete(tenant, message)
            yield {"id": message.id, "deleted": True}
        case _:
            raise ControlError(f"there is no voicemail {action}", exit_status=2)


_FILTERS: Final = ("tenant", "mailbox")


def message_row(tenant: str, message: MessageRecord, mail: MailRecord | None = None) -> Row:
    """A message as it is listed; what was said is not in it."""
    row: Row = {
        "id": message.id,
        "tenant": tenant,
        "mailbox": message.mailbox,
        "caller": message.caller,
        "name": message.name,
        "received": rfc3339(datetime.fromtimestamp(message.received, UTC)),
        "seconds": message.seconds,
        "folder": message.folder,
    }
    if mail is not None:
        row = {**row, "mail": f"waiting, {mail.tries} tries: {mail.problem}" if mail.problem else "waiting"}
    return row


def _found(boxes: Mailboxes, wanted: str | None, message_id: str) -> tuple[str, MessageRecord]:
    for tenant, message in boxes.all(wanted, None):
        if message.id == message_id:
            return tenant, message
    raise ControlError(f"there is no message {message_id}", exit_status=NOT_FOUND)


async def _sound(boxes: Mailboxes, tenant: str, message: MessageRecord) -> Iterator[str]:
    try:
        wav = await asyncio.to_thread(boxes.wav, tenant, message, most=_MOST) or b""
    except (MediaError, OSError) as error:
        raise ControlError(f"message {message.id} cannot be read: {error}") from error
    return (b64encode(wav[start : start + _PIECE]).decode() for start in range(0, len(wav), _PIECE))
