"""`voipat recordings` and `voipat audit`, as the daemon answers them. What is heard leaves here, and is noted."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from media import MediaError
from pbx.control import Arguments, ControlError
from pbx.output import Row, rfc3339
from pbx.recordings import Listener, Recordings, RefusedError
from pbx.store.base import AuditRecord, RecordingFilter, RecordingRecord

NOT_FOUND: Final = 3
DEFAULT_ROWS: Final = 100
# Of sound in a line of the answer.
PIECE: Final = 96 * 1024


class AuditRows(Protocol):
    """One tenant's."""

    def audit(self, *, since: float, limit: int) -> list[AuditRecord]: ...


class AuditSource(Protocol):
    """Where it is read who did what."""

    def tenant(self, domain: str) -> AuditRows: ...

    def domains(self) -> Sequence[str]: ...


class Recorded(Protocol):
    """A running daemon."""

    @property
    def recordings(self) -> Recordings: ...

    @property
    def audit_rows(self) -> AuditSource: ...

    def flush(self) -> None: ...


class RecordingCommands:
    """The commands by what they do."""

    def __init__(self, running: Recorded) -> None:
        self._running = running

    async def recordings(self, arguments: Arguments) -> AsyncIterator[Row]:
        """`do`: list, show, export, delete."""
        await asyncio.to_thread(self._running.flush)
        match arguments.get("do"):
            case "list":
                rows = self._listed(arguments)
            case "show":
                rows = self._shown(arguments)
            case "export":
                rows = self._exported(arguments)
            case "delete":
                rows = self._deleted(arguments)
            case other:
                raise ControlError(f"recordings: there is no {other!r}", exit_status=2)
        async for row in rows:
            yield row

    async def audit(self, arguments: Arguments) -> AsyncIterator[Row]:
        """What was done, newest first."""
        await asyncio.to_thread(self._running.flush)
        source = self._running.audit_rows
        since, limit = arguments.get("since"), arguments.get("limit")
        begin = float(since) if isinstance(since, int | float) else 0.0
        most = limit if isinstance(limit, int) else DEFAULT_ROWS
        for domain in await asyncio.to_thread(self._domains, arguments, source):
            for record in await asyncio.to_thread(source.tenant(domain).audit, since=begin, limit=most):
                yield audit_row(domain, record)

    async def _listed(self, arguments: Arguments) -> AsyncIterator[Row]:
        wanted = RecordingFilter(
            since=_number(arguments, "since"),
            until=_number(arguments, "until"),
            owner=_text(arguments, "extension"),
            linked_id=_text(arguments, "call"),
            limit=int(_number(arguments, "limit") or DEFAULT_ROWS),
        )
        for domain in await asyncio.to_thread(self._domains, arguments, self._running.audit_rows):
            for record in await asyncio.to_thread(self._running.recordings.listed, domain, wanted):
                yield recording_row(domain, record)

    async def _shown(self, arguments: Arguments) -> AsyncIterator[Row]:
        domain, record = await self._found(arguments)
        yield recording_row(domain, record)

    async def _exported(self, arguments: Arguments) -> AsyncIterator[Row]:
        domain, record = await self._found(arguments)
        pieces = self._running.recordings.hear(domain, record.id, Listener())
        try:
            while (piece := await asyncio.to_thread(_next_piece, pieces)) is not None:
                for first in range(0, len(piece), PIECE):
                    yield {"wav": b64encode(piece[first : first + PIECE]).decode()}
        except (RefusedError, MediaError, OSError) as error:
            raise ControlError(f"recording {record.id}: {error}") from error

    async def _deleted(self, arguments: Arguments) -> AsyncIterator[Row]:
        domain, record = await self._found(arguments)
        try:
            await asyncio.to_thread(self._running.recordings.delete, domain, record.id, Listener())
        except (RefusedError, MediaError, OSError) as error:
            raise ControlError(f"recording {record.id}: {error}") from error
        yield {"tenant": domain, "id": record.id, "deleted": True}

    async def _found(self, arguments: Arguments) -> tuple[str, RecordingRecord]:
        identifier = str(arguments.get("id"))
        for domain in await asyncio.to_thread(self._domains, arguments, self._running.audit_rows):
            record = await asyncio.to_thread(self._running.recordings.find, domain, identifier)
            if record is not None:
                return domain, record
        raise ControlError(f"there is no recording {identifier}", exit_status=NOT_FOUND)

    def _domains(self, arguments: Arguments, source: AuditSource) -> Sequence[str]:
        """Each tenant is asked by itself: there is no query over all of them."""
        tenant = _text(arguments, "tenant")
        return source.domains() if tenant is None else [tenant]


def recording_row(tenant: str, record: RecordingRecord) -> Row:
    """A recording as the command line prints it; `call` is the `linked_id` of its CDRs."""
    row = {**record._asdict(), "started": rfc3339(datetime.fromtimestamp(record.started, UTC))}
    return {"tenant": tenant, **{("call" if name == "linked_id" else name): value for name, value in row.items()}}


def audit_row(tenant: str, record: AuditRecord) -> Row:
    """What was done, as the command line prints it."""
    return {
        "tenant": tenant,
        "at": rfc3339(datetime.fromtimestamp(record.at, UTC)),
        "actor": record.actor,
        "action": record.action,
        "object": record.object,
        "allowed": record.allowed,
    }


def _next_piece(pieces: Iterator[bytes]) -> bytes | None:
    # StopIteration cannot travel through a future.
    return next(pieces, None)


def _text(arguments: Arguments, name: str) -> str | None:
    value = arguments.get(name)
    return None if value is None else str(value)


def _number(arguments: Arguments, name: str) -> float | None:
    value = arguments.get(name)
    return float(value) if isinstance(value, int | float) else None
