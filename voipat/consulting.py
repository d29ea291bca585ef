"""Attended transfer without a phone's help: one side of a bridge talks to a target while the other one waits.

    E ══ bridge ══ R           E ── music     R ══ target          E ════════ target      R hung up: transferred
                               E ── music     R ── rings           E ── led to the target as by a blind transfer
                               E hung up      R ══ target          R goes on with the target

R is led through the handler of the target's number, as if its phone had dialled it. Whoever ends, ends at an await of
that handler or of the bridge, and both look here first (`ended`): by then the owner of the call that goes on must be
another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from sipcore.uri import Uri
from voipat import reasons
from voipat.errors import CallOutcome, Rejected
from voipat.renegotiation import renegotiate
from voipat.transfer import Transfer, take_peer

if TYPE_CHECKING:
    from voipat.bridge import Bridge
    from voipat.call import Call

BACK: Final = "*"
# How long a target rings is for its handler to say.
LOOK_S: Final = 600.0


class Outcome:
    """What a transferor without a REFER is told: how it ended."""

    def __init__(self, transferor: Call) -> None:
        self._transferor = transferor
        self.done: Final[asyncio.Future[int]] = transferor.switch.loop.create_future()

    def tell(self, status: int) -> None:
        """The target's phone rings."""

    def finish(self, status: int) -> None:
        """The target took the call, or did not."""
        if not self.done.done():
            self.done.set_result(status)
        if status < 300:
            self._transferor.end("server", reasons.TRANSFERRED)


async def transfer_blind(bridge: Bridge, by: Call, target: Uri) -> None:
    """As `Bridge.transfer`."""
    if bridge.transfer_ is not None or bridge.other(by).outcome is not None:
        raise Rejected(reasons.CHANGE_PENDING)
    policy = by.switch.on_refer
    refusal = None if policy is None else policy(by, target)
    if refusal is not None:
        raise Rejected(refusal)
    outcome = Outcome(by)
    transfer = Transfer(by, bridge.other(by), target, outcome, None)
    by.note("%s transfers %s to %s", by.id, transfer.transferee.id, target)
    transfer.start()
    while not await by.until(outcome.done, timeout=LOOK_S):
        continue
    if (status := outcome.done.result()) >= 300:
        raise Rejected(reasons.TRANSFER_FAILED, status=status, by="callee")


class Consultation:
    """One side of a bridge away to talk with a target."""

    def __init__(self, bridge: Bridge, call: Call, target: Uri) -> None:
        self._bridge = bridge
        self._call = call
        self._waiting = bridge.other(call)
        self._target = target
        self._task: asyncio.Task[CallOutcome | None] | None = None
        self._is_over = False

    async def run(self) -> None:
        """As `Bridge.consult`."""
        call, bridge = self._call, self._bridge
        role, name = call.role, call.display_name
        call.take_role(self._target, by=call)
        handler = call.switch.handler_of(call)
        if handler is None:
            call.role, call.display_name = role, name
            raise Rejected(reasons.UNKNOWN_NUMBER)
        bridge.consultation = call.consulting = self
        call.playback.digit_listeners.append(self._on_digit)
        if call.media is not None:
            call.media.hear_keys()
        self._task = call.switch.loop.create_task(_as_task(handler(call)))
        try:
            await asyncio.wait((self._task,))
            found = self._task.result() if not self._task.cancelled() else None
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            call.playback.digit_listeners.remove(self._on_digit)
            if not self._is_over:
                call.role, call.display_name = role, name
                self._come_back()
        if isinstance(found, Rejected) and call.outcome is None:
            # Not the task's own, which would stand in a cycle with this frame.
            raise Rejected(found.reason, status=found.status, by=found.by)

    def ended(self) -> None:
        """One of the three is gone; those that are left go on together."""
        if self._is_over:
            return
        call, waiting = self._call, self._waiting
        if call.outcome is not None and waiting.outcome is None:
            self._leave()
            self._hand_over()
        elif waiting.outcome is not None and waiting is self._bridge.a_leg and call.outcome is None:
            self._go_on_alone()

    def _come_back(self) -> None:
        self._leave()
        call, bridge = self._call, self._bridge
        for attempt in call.attempts:
            if attempt is not self._waiting:
                attempt.end("server", reasons.CALLER_GAVE_UP)
        if call.outcome is None and self._waiting.bridge_ is bridge:
            call.bridge_ = bridge
        bridge.wake()

    def _leave(self) -> None:
        self._is_over = True
        self._bridge.consultation = self._call.consulting = None

    def _hand_over(self) -> None:
        """The one who waits gets the target: joined when they talked already, else by calling it anew."""
        call, waiting = self._call, self._waiting
        talks = call.bridge_ is not None and call.bridge_ is not self._bridge
        outcome = Outcome(call)
        if not talks or call.bridge_ is None or call.bridge_.other(call).outcome is not None:
            Transfer(call, waiting, self._target, outcome, None).start()
            return
        peer = take_peer(waiting, call)

        async def talk(transferee: Call) -> None:
            await transferee.answer()
            for each in (transferee, peer):
                renegotiate(each)
            await transferee.bridge(peer)

        Transfer(call, waiting, self._target, outcome, None, handler=talk).start()

    def _go_on_alone(self) -> None:
        """Who waited has hung up, and with it the call that owned this side: it goes on with the target."""
        call, bridge = self._call, self._call.bridge_
        if bridge is None or bridge is self._bridge:
            return
        target = bridge.other(call)
        self._leave()
        self._waiting.release(call)
        if target not in call.attempts:
            # It has a handler of its own, which owns us by now.
            return
        call.switch.calls[call.id] = call
        call.switch.spawn(_lead(call, target))

    def _on_digit(self, digit: str) -> bool:
        """Back to who waits."""
        if digit != BACK or self._call.playback.awaits_digits or self._task is None:
            return False
        self._call.note("%s comes back", self._call.id)
        self._task.cancel()
        return True


async def _as_task(handling: Awaitable[object]) -> CallOutcome | None:
    """How the handler ended; what is no outcome is a bug in it, and is raised."""
    try:
        await handling
    except CallOutcome as outcome:
        return outcome
    return None


async def _lead(call: Call, target: Call) -> None:
    call.task = asyncio.current_task()

    async def talk(call: Call) -> None:
        await call.bridge(target)

    await call.switch.run_handler(call, talk)
