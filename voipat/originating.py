"""A call that nobody dialled: one party is reached, and who answers is led on as if he had dialled the other.

    V (a call without a phone) ── dial ──▶ A's phones ── answered ──▶ handler of the target, for A's call ──▶ B

V is the first leg of it all, and the owner of A's: it is listed, hung up, and has a CDR like a call that came in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from sipcore.uri import Uri
from voipat import reasons
from voipat.errors import CallOutcome, Cancelled, Rejected, Transferred
from voipat.legs import OutboundLeg
from voipat.parties import Parties, called_by

if TYPE_CHECKING:
    from voipat.call import Call
    from voipat.switch import Handler, Switch

# The answered call of the first party, dialled for the call without a phone.
Reach = Callable[["Call"], Awaitable["Call"]]
Admit = Callable[["Call", str], AbstractContextManager[None]]


class Origination:
    """`call = await app.call("1001", "1002")`: the call of who answered; who stops waiting has hung up."""

    def __init__(self, first: Call, target: Uri, reach: Reach, then: Handler | None) -> None:
        self._first: Final = first
        self._target = target
        self._reach = reach
        self._then = then
        self._answered: asyncio.Future[Call] = first.switch.loop.create_future()

    @property
    def id(self) -> str:
        """Of the call, in lists and CDRs."""
        return self._first.id

    def hang_up(self) -> None:
        """End it, however far it is."""
        self._first.end("server", reasons.CALLER_GAVE_UP)

    def __await__(self) -> Generator[object, None, Call]:
        """Until the first phone answers. Raises: Rejected, NoAnswer, Cancelled, HungUp."""
        return self._wait().__await__()

    async def _wait(self) -> Call:
        try:
            return await asyncio.shield(self._answered)
        except asyncio.CancelledError:
            self.hang_up()
            raise

    async def run(self) -> None:
        """In a task of its own."""
        first = self._first
        first.task = asyncio.current_task()
        outcome = await first.switch.run_handler(first, self._lead)
        if not self._answered.done():
            self._answered.set_exception(outcome or first.outcome or Rejected(reasons.CALLER_GAVE_UP))
            # Nobody has to wait for it.
            self._answered.exception()

    async def _lead(self, first: Call) -> None:
        call = await self._reach(first)
        # What the handler takes for the call comes in place of what was taken until now: nothing is awaited between.
        call.origin = first
        call.take_role(self._target, by=call)
        handler = self._then or first.switch.handler_of(call)
        if handler is None:
            raise Rejected(reasons.UNKNOWN_NUMBER)
        self._answered.set_result(call)
        outcome: CallOutcome | None = None
        try:
            await handler(call)
        except Transferred as moved:
            # It goes on in the hands of another.
            outcome = moved
            first.release(call)
            raise
        except CallOutcome as raised:
            outcome = raised
            if call.outcome is not None and first.answered is None and call.attempted:
                raise Cancelled(reasons.CALLER_GAVE_UP) from None
            raise
        finally:
            if not isinstance(outcome, Rejected) and not (call.attempted and first.answered is None):
                # A service took it, as soon as the phone was answered.
                first.joined(call)
            # Its own end has taken it off the first already, and leaves those that it dialled to us.
            if not isinstance(outcome, Transferred) and (call in first.attempts or call.outcome is not None):
                call.settle(outcome)


def ringing(caller: str, timeout: float, admit: Admit | None) -> Reach:
    """Reach a user at his phones; `admit` holds the places of the call until one of them answers."""

    async def reach(first: Call) -> Call:
        if admit is None:
            return await first.dial(caller, timeout=timeout)
        with admit(first, caller):
            return await first.dial(caller, timeout=timeout)

    return reach


def originate(
    switch: Switch, caller: str, target: str | Uri, *, tenant: str, reach: Reach, then: Handler | None = None
) -> Origination:
    """As `App.originate`."""
    from voipat.call import Call

    uri = called_by(target, tenant)
    name = uri.user or uri.host if uri.host == tenant else str(uri)
    identifier = switch.entropy.token(8)
    parties = Parties(identifier, identifier, tenant, caller, name)
    first = Call(switch, OutboundLeg(switch.exchange, None), parties, to=uri, caller=Uri("sip", uri.user, tenant))
    # Its phones show whom they are going to talk to.
    first.take_part(shown=name)
    first.publish_start(identifier)
    switch.calls[identifier] = first
    found = Origination(first, uri, reach, then)
    switch.spawn(found.run())
    return found
