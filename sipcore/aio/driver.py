"""Glue between `Endpoint`, the transports and an event loop (asyncio, uvloop, or the virtual-time loop of the tests).

The receive path is feed, execute, re-arm. Whatever one message makes the endpoint or a listener do wrong is logged
with its traceback, counted, and costs that message only. Of the loop only `time`, `call_at` and `call_soon` are used.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Final, Protocol, runtime_checkable

from sipcore.errors import SipError
from sipcore.events import Event, RequestReceived, TransactionId
from sipcore.flow import Address, Flow
from sipcore.locate import Target
from sipcore.outputs import Close, Datagram, Output, Resolve, Transmit
from sipcore.refusals import Refusal
from sipcore.transaction import HeaderPairs

logger: Final = logging.getLogger("sipcore.aio")

# An endpoint that fails in handle_timeout may still name the same deadline: do not spin on it.
_RETRY_AFTER_FAILURE: Final = 0.1


class Transport(Protocol):
    """One listening socket, and for a stream transport its connections."""

    @property
    def name(self) -> str:
        """ "UDP", "TCP", "TLS", "WS" or "WSS", as in `Flow.transport`."""

    @property
    def local(self) -> Address:
        """Where it listens; `Flow.local` of everything that comes and goes here."""

    def send(self, flow: Flow, data: bytes) -> None:
        """Send or queue one message. Never raises; a stream flow that cannot be served is told by `flow_lost`."""

    def close_flow(self, flow: Flow) -> None:
        """Close one connection after what is queued; nothing for UDP."""

    async def close(self) -> None:
        """Stop listening, close every connection."""


@runtime_checkable
class SelectiveTransport(Transport, Protocol):
    """A transport that gives up the connections of strangers first when room is short."""

    def authenticated(self, flow: Flow) -> None:
        """Somebody proved who they are on this connection."""


class Soonest(Protocol):
    """Where the driver looks after each message."""

    @property
    def soonest(self) -> float:
        """A moment before which `handle_timeout` is certainly not due; infinity for never."""


class SansIoEndpoint(Protocol):
    """What the driver needs of `sipcore.endpoint.Endpoint`."""

    def listening(self, transport: str, local: Address) -> None: ...
    def not_listening(self, transport: str, local: Address) -> None: ...
    def receive(self, datagram: Datagram, now: float) -> list[Output]: ...
    def flow_lost(self, flow: Flow, now: float) -> list[Output]: ...
    def undelivered(self, flow: Flow, beginning: bytes, now: float) -> list[Output]: ...
    def resolved(self, query: int, answers: Sequence[Address | Target], now: float) -> list[Output]: ...
    def handle_timeout(self, now: float) -> list[Output]: ...
    def next_timeout(self) -> float | None: ...
    @property
    def deadlines(self) -> Soonest: ...
    def fail(self, transaction: TransactionId, flow: Flow, now: float) -> list[Output]: ...
    def refusal_headers(self, refusal: Refusal, flow: Flow) -> HeaderPairs: ...


class Observer(Protocol):
    """Is told every message, as it is after TLS."""

    def observe(self, data: bytes, flow: Flow, sent: bool, now: float) -> None:
        """It came (`sent` False), or goes."""


class Driver:
    """Runs one endpoint on one event loop.

    `resolve` is told each `Resolve` output and owes a call of `resolved`; without one, no name resolves.
    """

    def __init__(
        self,
        endpoint: SansIoEndpoint,
        *,
        on_event: Callable[[Event], None],
        loop: asyncio.AbstractEventLoop,
        resolve: Callable[[Resolve], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._deadlines = endpoint.deadlines
        self._on_event = on_event
        self._resolve = resolve
        self._transports: dict[tuple[str, Address], Transport] = {}
        self._timer: asyncio.TimerHandle | None = None
        # When the timer fires; infinity without one.
        self._armed_at = inf
        # How many `execute` are under way, one within the other: a listener's answer is executed at once.
        self._depth = 0
        self.loop: Final = loop
        # Monotonic seconds, as every verb of the endpoint wants them.
        self.now: Final = loop.time
        self.counters: Final[Counter[str]] = Counter()
        self.observer: Observer | None = None
        # What a message is answered with unread, neither the endpoint nor the observer being told of it: nothing, or
        # bytes. None: it is read.
        self.unread: Callable[[bytes, Flow, float], bytes | None] | None = None

    @property
    def transports(self) -> tuple[Transport, ...]:
        return tuple(self._transports.values())

    def add_transport(self, transport: Transport) -> None:
        """Send through this transport what has its name and local address."""
        if self._transports.get((transport.name, transport.local)) is transport:
            return
        self._transports[transport.name, transport.local] = transport
        self._endpoint.listening(transport.name, transport.local)

    async def remove_transport(self, transport: Transport) -> None:
        """Send through this transport no more, and close it."""
        if self._transports.pop((transport.name, transport.local), None) is not None:
            self._endpoint.not_listening(transport.name, transport.local)
            await transport.close()

    def receive(self, data: bytes, flow: Flow) -> None:
        """One whole message came."""
        try:
            now = self.loop.time()
            if self.unread is not None and (answer := self.unread(data, flow, now)) is not None:
                self._answer_unread(answer, flow)
                return
            if self.observer is not None:
                self.observer.observe(data, flow, False, now)
            self.execute(self._endpoint.receive(Datagram(data, flow), now))
        except Exception:
            self._failed("receive", flow)

    def flow_lost(self, flow: Flow) -> None:
        """A stream connection is gone, or could not be made."""
        try:
            self.execute(self._endpoint.flow_lost(flow, self.loop.time()))
        except Exception:
            self._failed("flow_lost", flow)

    def undelivered(self, flow: Flow, beginning: bytes) -> None:
        """The network says that the datagram that began so did not reach the peer on `flow`."""
        try:
            self.execute(self._endpoint.undelivered(flow, beginning, self.loop.time()))
        except Exception:
            self._failed("undelivered", flow)

    def resolved(self, query: int, answers: Sequence[Address | Target]) -> None:
        """DNS has answered a `Resolve`; nothing when there is no such name."""
        try:
            self.execute(self._endpoint.resolved(query, answers, self.loop.time()))
        except Exception:
            self._failed("resolved", None)

    def refusal_headers(self, refusal: Refusal, flow: Flow) -> HeaderPairs:
        """What the endpoint's refusals say, for one that a transport sends by itself."""
        return self._endpoint.refusal_headers(refusal, flow)

    def authenticated(self, flow: Flow) -> None:
        """The peer on this flow proved who it is."""
        transport = self._transports.get((flow.transport, flow.local))
        if flow.reliable and isinstance(transport, SelectiveTransport):
            transport.authenticated(flow)

    def execute(self, outputs: Sequence[Output]) -> None:
        """Do what a verb of the endpoint returned, in order, and set the timer anew."""
        self._depth += 1
        try:
            for output in outputs:
                if isinstance(output, Transmit):
                    flow = output.flow
                    transport = self._transports.get((flow.transport, flow.local))
                    if transport is None:
                        self._lack_transport(flow)
                        continue
                    if self.observer is not None:
                        self.observer.observe(output.data, flow, True, self.loop.time())
                    transport.send(flow, output.data)
                elif isinstance(output, Close):
                    self._close_flow(output)
                elif isinstance(output, Resolve):
                    self._ask(output)
                else:
                    try:
                        self._on_event(output)
                    except Exception:
                        self._untold(output)
        finally:
            self._depth -= 1
        # Nearly always the timer is early enough, and looking for the next deadline is not.
        if not self._depth and self._deadlines.soonest < self._armed_at:
            self._rearm()

    async def close(self) -> None:
        """Close every transport and stop the timer."""
        for transport in self.transports:
            await transport.close()
        self._transports.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._armed_at = None, inf

    def _answer_unread(self, answer: bytes, flow: Flow) -> None:
        self.counters["answered_unread" if answer else "ignored"] += 1
        transport = self._transports.get((flow.transport, flow.local))
        if answer and transport is not None:
            transport.send(flow, answer)

    def _lack_transport(self, flow: Flow) -> None:
        self.counters["no_transport"] += 1
        if flow.reliable:
            self.loop.call_soon(self.flow_lost, flow)

    def _close_flow(self, output: Close) -> None:
        transport = self._transports.get((output.flow.transport, output.flow.local))
        if transport is not None:
            logger.info("connection closed: %s", output.reason, extra={"remote": str(output.flow.remote)})
            transport.close_flow(output.flow)

    def _ask(self, output: Resolve) -> None:
        if self._resolve is None:
            self.loop.call_soon(self.resolved, output.query, ())
        else:
            self._resolve(output)

    def _untold(self, event: Event) -> None:
        self._failed("event", None)
        if isinstance(event, RequestReceived):
            with suppress(SipError):
                self.execute(self._endpoint.fail(event.transaction, event.flow, self.loop.time()))

    def _failed(self, where: str, flow: Flow | None) -> None:
        self.counters["failed"] += 1
        remote = None if flow is None else str(flow.remote)
        logger.exception("bug: exception in %s, message dropped", where, extra={"remote": remote})
        self._rearm()

    def _rearm(self) -> None:
        """Make sure that the timer fires no later than the endpoint's next deadline.

        A timer that fires too early costs one call; cancelling and making one per message costs more than that.
        """
        deadline = self._endpoint.next_timeout()
        if deadline is None or self._armed_at <= deadline:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._arm(deadline)

    def _arm(self, deadline: float) -> None:
        self._armed_at = deadline
        self._timer = self.loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        # uvloop rounds to milliseconds and may fire half of one early: the deadline counts as reached.
        now = max(self.loop.time(), self._armed_at)
        self._timer, self._armed_at = None, inf
        deadline = self._endpoint.next_timeout()
        if deadline is None or deadline > now:
            self._rearm()
            return
        try:
            self.execute(self._endpoint.handle_timeout(now))
        except Exception:
            self._arm(now + _RETRY_AFTER_FAILURE)
            self._failed("handle_timeout", None)
