"""The calls under way, each in the task that its handler runs in.

One task per call, all in one group: whatever a handler raises is logged, answered with 500 or BYE, and costs that call
only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from voipat import reasons
from voipat.errors import CallOutcome, Rejected
from voipat.parties import CallState

if TYPE_CHECKING:
    from voipat.call import Call
    from voipat.exchange import Exchange
    from voipat.reasons import Reason
    from voipat.switch import Handler

T = TypeVar("T")

logger: Final = logging.getLogger("voipat")


class Handling:
    """Between the start and the end of an App."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._tasks: asyncio.TaskGroup | None = None
        self.calls: Final[dict[str, Call]] = {}
        self.idle: Final = asyncio.Event()

    async def open(self) -> None:
        """The App begins."""
        self.idle.set()
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()

    async def close(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for every task."""
        await self._group.__aexit__(kind, error, traceback)

    @property
    def _group(self) -> asyncio.TaskGroup:
        assert self._tasks is not None, "calls live between start and end"
        return self._tasks

    def begin(self, call: Call, handler: Handler | None) -> None:
        """Let a handler have a call; without one it is refused."""
        self.calls[call.id] = call
        call.task = self.spawn(self.run(call, handler))

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work that is part of a call."""
        self.idle.clear()
        return self._group.create_task(coroutine)

    def spawn_beside(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that a drain does not wait for."""
        return self._group.create_task(coroutine)

    async def run(self, call: Call, handler: Handler | None) -> CallOutcome | None:
        """The boundary of one call: whatever its handler does ends here; a call that is another's by now stays up."""
        outcome: CallOutcome | None = None
        failure: Reason | None = None
        try:
            if call.state is not CallState.ENDED:
                await (handler or _reject_unknown)(call)
        except CallOutcome as raised:
            outcome = raised
        except asyncio.CancelledError:
            failure = reasons.SHUTDOWN
        except Exception:
            self._exchange.counters["handler_errors"] += 1
            logger.exception(
                "the handler of the call %s to %s failed",
                call.call_id,
                call.to,
                extra={"call": call.id, "tenant": call.tenant, "call_id": call.call_id},
            )
            failure = reasons.INTERNAL_ERROR
        if call.task is asyncio.current_task():
            if failure is not None:
                call.end("server", failure, by_handler=True)
            call.settle(outcome)
            self.forget(call)
        if outcome is not None:
            # The traceback holds this frame, and the frame the outcome: only the collector would find them.
            outcome.__traceback__ = None
        return outcome if failure is None else Rejected(failure)

    def forget(self, call: Call) -> None:
        """It is over."""
        self.calls.pop(call.id, None)
        if not self.calls:
            self.idle.set()


async def _reject_unknown(call: Call) -> None:
    await call.reject(reasons.UNKNOWN_NUMBER)
