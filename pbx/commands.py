"""The commands of the control socket, over what a running daemon offers (`Running`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from functools import partial
from typing import Final, Protocol

from pbx import stored
from pbx.cdr import CdrSource
from pbx.control import Arguments, Command, ControlError
from pbx.errors import ConfigError, PbxError
from pbx.object_commands import COMMANDS, Book, known_tenant, object_rows
from pbx.output import Row
from pbx.recording_commands import AuditSource, RecordingCommands
from pbx.recordings import Recordings
from pbx.route_question import Question, question_of
from voipat import CallOutcome, Origination

NOT_FOUND: Final = 3
DEFAULT_RING_S: Final = 30.0
DEFAULT_TRACES: Final = 100


class Running(Book, Protocol):
    """A running daemon, as its operator sees it."""

    def registrations(self, tenant: str | None) -> Iterable[Row]: ...

    def calls(self, tenant: str | None) -> Iterable[Row]: ...

    def trunks(self, tenant: str | None) -> Iterable[Row]: ...

    def conferences(self, tenant: str | None, room: str | None) -> Iterable[Row]: ...

    def queues(self, tenant: str | None, number: str | None) -> Iterable[Row]: ...

    def parked(self, tenant: str | None) -> Iterable[Row]: ...

    def desks(self, tenant: str | None) -> Iterable[Row]: ...

    def log_out(self, desk: str) -> Row | None:
        """Make a desk (`office.test/1010`) nobody's; None when it is that already."""
        ...

    def stats(self) -> Row: ...

    def bans(self) -> Iterable[Row]: ...

    def lift_ban(self, source: str) -> bool:
        """Lift the bans of a source; False when there is none."""
        ...

    def originate(self, caller: str, target: str, *, tenant: str | None, timeout: float) -> Origination:
        """Ring the phones of an extension, then lead it on to the target. Raises: Rejected, ValueError."""
        ...

    def hang_up(self, call: str) -> bool:
        """End the call; False when there is none of this id."""
        ...

    async def reload(self, *, check: bool) -> Row:
        """Raises: ConfigError."""
        ...

    def route(self, question: Question) -> Iterable[Row]:
        """What would happen to a call, rule by rule."""
        ...

    def drain(self) -> Row:
        """Take no new calls, and end with the last one."""
        ...

    async def ended(self) -> None:
        """Return when the data directory is free for another daemon."""
        ...

    def voicemail(self, arguments: Arguments) -> AsyncIterator[Row]:
        """Look at the messages of mailboxes, or delete one."""
        ...

    def messages(self, arguments: Arguments) -> AsyncIterator[Row]:
        """Show the text messages that wait for who is away, or delete one."""
        ...

    def traces(self, tenant: str | None, *, failed: bool, limit: int) -> Iterable[Row]:
        """What the flight recorder keeps, newest first."""
        ...

    def trace(self, call: str, *, messages: bool) -> Iterable[Row] | None:
        """The entries of one call; None when nothing is kept of it."""
        ...

    def flush(self) -> None:
        """Make what has ended readable in the store. Blocks."""
        ...

    @property
    def cdrs(self) -> CdrSource: ...

    @property
    def recordings(self) -> Recordings: ...

    @property
    def audit_rows(self) -> AuditSource: ...


def commands_of(running: Running) -> Mapping[str, Command]:
    """Every command by its name."""
    commands = _Commands(running)
    recorded = RecordingCommands(running)
    of_a_tenant: dict[str, Command] = {
        "registrations": commands.registrations,
        "calls": commands.calls,
        "trunks": commands.trunks,
        "conferences": commands.conferences,
        "queues": commands.queues,
        "parked": commands.parked,
        "desks": commands.desks,
        "cdr": commands.cdr,
        "trace": commands.trace,
        "voicemail": running.voicemail,
        "messages": running.messages,
        "recordings": recorded.recordings,
        "audit": recorded.audit,
    }
    return {
        **{name: partial(_of_known_tenant, running, command) for name, command in of_a_tenant.items()},
        "stats": commands.stats,
        "bans": commands.bans,
        "reload": commands.reload,
        "drain": commands.drain,
        "hangup": commands.hangup,
        "call": commands.call,
        "route": commands.route,
        **{name: partial(object_rows, running, name) for name in COMMANDS},
    }


async def _of_known_tenant(running: Running, command: Command, arguments: Arguments) -> AsyncIterator[Row]:
    """The rows; an error when there are none because the tenant was misspelt. One that is gone may have left some."""
    found = False
    async for row in command(arguments):
        found = True
        yield row
    if not found:
        known_tenant(running.tenants, arguments)


class _Commands:
    def __init__(self, running: Running) -> None:
        self._running = running

    async def registrations(self, arguments: Arguments) -> AsyncIterator[Row]:
        for row in self._running.registrations(_tenant(arguments)):
            yield row

    async def calls(self, arguments: Arguments) -> AsyncIterator[Row]:
        for row in self._running.calls(_tenant(arguments)):
            yield row

    async def trunks(self, arguments: Arguments) -> AsyncIterator[Row]:
        for row in self._running.trunks(_tenant(arguments)):
            yield row

    async def conferences(self, arguments: Arguments) -> AsyncIterator[Row]:
        for row in list(self._running.conferences(_tenant(arguments), _which(arguments))):
            yield row

    async def queues(self, arguments: Arguments) -> AsyncIterator[Row]:
        for row in list(self._running.queues(_tenant(arguments), _which(arguments))):
            yield row

    async def parked(self, arguments: Arguments) -> AsyncIterator[Row]:
        for row in list(self._running.parked(_tenant(arguments))):
            yield row

    async def desks(self, arguments: Arguments) -> AsyncIterator[Row]:
        desk = arguments.get("log_out")
        if desk is None:
            for row in list(self._running.desks(_tenant(arguments))):
                yield row
        elif (found := self._running.log_out(str(desk))) is not None:
            yield found
        else:
            raise ControlError(f"nobody is logged in at {desk}", exit_status=NOT_FOUND)

    async def cdr(self, arguments: Arguments) -> AsyncIterator[Row]:
        await asyncio.to_thread(self._running.flush)
        pages = stored.cdr_pages(self._running.cdrs, arguments)
        while (page := await asyncio.to_thread(_next_page, pages)) is not None:
            for row in page:
                yield row

    async def stats(self, arguments: Arguments) -> AsyncIterator[Row]:
        yield self._running.stats()

    async def bans(self, arguments: Arguments) -> AsyncIterator[Row]:
        source = arguments.get("lift")
        if source is None:
            for row in self._running.bans():
                yield row
        elif self._running.lift_ban(str(source)):
            yield {"source": str(source), "lifted": True}
        else:
            raise ControlError(f"{source} is not banned", exit_status=NOT_FOUND)

    async def reload(self, arguments: Arguments) -> AsyncIterator[Row]:
        try:
            yield await self._running.reload(check=bool(arguments.get("check")))
        except ConfigError as error:
            raise ControlError(str(error), exit_status=2) from error
        except PbxError as error:
            raise ControlError(f"nothing was changed: {error}") from error

    async def drain(self, arguments: Arguments) -> AsyncIterator[Row]:
        yield self._running.drain()
        if arguments.get("wait"):
            await self._running.ended()
            yield {"ended": True}

    async def route(self, arguments: Arguments) -> AsyncIterator[Row]:
        for row in self._running.route(question_of(arguments)):
            yield row

    async def call(self, arguments: Arguments) -> AsyncIterator[Row]:
        """Two rows: that it is called, with the id by which it can be hung up, and that it was answered."""
        tenant = known_tenant(self._running.tenants, arguments)
        caller, target, timeout = (arguments.get(name) for name in ("caller", "target", "timeout"))
        seconds = float(timeout) if isinstance(timeout, int | float) else DEFAULT_RING_S
        try:
            found = self._running.originate(str(caller), str(target), tenant=tenant, timeout=seconds)
            yield {"id": found.id, "state": "calling", "caller": str(caller), "callee": str(target)}
            answered = await found
        except CallOutcome as outcome:
            raise ControlError(f"{outcome.reason.id} {outcome.reason.text}") from None
        yield {"id": found.id, "state": "answered", "caller": answered.own_number, "callee": str(target)}

    async def hangup(self, arguments: Arguments) -> AsyncIterator[Row]:
        call = str(arguments.get("id"))
        if not self._running.hang_up(call):
            raise ControlError(f"there is no call {call}", exit_status=NOT_FOUND)
        yield {"id": call, "hung_up": True}

    async def trace(self, arguments: Arguments) -> AsyncIterator[Row]:
        call = arguments.get("call")
        if call is None:
            failed = bool(arguments.get("failed"))
            rows: Iterable[Row] | None = self._running.traces(
                _tenant(arguments), failed=failed, limit=_limit(arguments)
            )
        else:
            rows = self._running.trace(str(call), messages=bool(arguments.get("messages")))
        if rows is None:
            raise ControlError(f"nothing is kept of a call {call}", exit_status=NOT_FOUND)
        for row in rows:
            yield row


def _limit(arguments: Arguments) -> int:
    limit = arguments.get("limit")
    return limit if isinstance(limit, int) else DEFAULT_TRACES


def _next_page(pages: Iterator[list[Row]]) -> list[Row] | None:
    # StopIteration cannot travel through a future.
    return next(pages, None)


def _which(arguments: Arguments) -> str | None:
    number = arguments.get("number")
    return None if number is None else str(number)


def _tenant(arguments: Arguments) -> str | None:
    tenant = arguments.get("tenant")
    return None if tenant is None else str(tenant)
