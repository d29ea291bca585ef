"""Callers of a queue who are called back: they have hung up, and keep the place that they had.

    key 1 ──▶ promise, in the store ──▶ its turn, an agent is free ──▶ ring the caller ──▶ key 1 ──▶ wait_again
                       ▲                                                    │ no answer, no key
                       └──────────────── callback_retry_s ◀─────────────────┘

While the caller is rung, those behind him are served; who answers is the next. The key keeps an answering machine from
taking an agent. The call back is made on behalf of the tenant and counts under all its limits, so that a forged number
costs no more than the tenant allows.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

from pbx.decisions import ToExtension
from pbx.directory import LiveDirectory
from pbx.flows.outbound import dial_out, place_outside
from pbx.flows.queue import CALLBACK_KEY, LOOK_S, wait_again
from pbx.flows.queue_agents import Crew
from pbx.flows.visit import Desk, Visit
from pbx.objects.groups import Queue
from pbx.queue_figures import owner_of
from pbx.queues import Place
from pbx.routing import call_back
from voipat import App, Call, CallOutcome, Rejected, Resource, reasons

logger: Final = logging.getLogger(__name__)

KEY_PREFIX: Final = "callback."
RING_S: Final = 30.0
# Who has just hung up has the telephone still in his hand.
FIRST_REST_S: Final = 3.0
ANSWER_S: Final = 8.0
TIMES_ASKED: Final = 2

Places = Callable[[Call], AbstractContextManager[None]]


@dataclass(slots=True)
class Ticket:
    """A caller who is to be called back until the wallclock `until`; one for each number in a queue."""

    number: str
    since: float
    priority: int
    until: float
    tries: int = 0


class Callbacks:
    """Calls back, each caller in a task of its own; a service of the App."""

    def __init__(self, desk: Desk, directory: LiveDirectory, places: Places) -> None:
        self._desk: Final = desk
        self._directory: Final = directory
        self._places: Final = places
        self._app: App | None = None
        self._tasks: dict[tuple[str, str, str], asyncio.Task[None]] = {}

    async def start(self, app: App) -> None:
        """Go on with what was promised before the restart."""
        self._app = app
        for domain in self._directory.current.tenants:
            for owner, key, value in tuple(self._desk.state.tenant(domain).entries()):
                if owner.startswith("queue/") and key.startswith(KEY_PREFIX):
                    self._restore(domain, owner.removeprefix("queue/"), value)

    def _restore(self, tenant: str, queue: str, value: str) -> None:
        try:
            ticket = Ticket(**json.loads(value))
        except (TypeError, ValueError):
            # One that cannot be read must not keep the server from starting.
            logger.error("a promise to call back cannot be read", extra={"tenant": tenant, "queue": queue})
            return
        self._begin(tenant, queue, ticket)

    async def stop(self) -> None:
        """What is promised stays in the store."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def promise(self, tenant: str, queue: Queue, place: Place) -> Callable[[], None]:
        """As `CallbackDesk.promise`; who is promised it already keeps the first place."""
        begin = partial(self._begin, tenant, queue.number)
        if (tenant, queue.number, place.number) in self._tasks:
            return _nothing
        ticket = Ticket(place.number, place.since, place.priority, self._now() + queue.callback_for_s)
        self._save(tenant, queue.number, ticket)
        return partial(begin, ticket)

    def _begin(self, tenant: str, queue: str, ticket: Ticket) -> None:
        key = (tenant, queue, ticket.number)
        if self._app is None or key in self._tasks:
            return
        task = asyncio.get_running_loop().create_task(self._call_back(tenant, queue, ticket))
        self._tasks[key] = task
        task.add_done_callback(partial(self._ended, key))

    def _ended(self, key: tuple[str, str, str], task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("calling back failed", extra={"tenant": key[0], "queue": key[1]}, exc_info=error)

    async def _call_back(self, tenant: str, number: str, ticket: Ticket) -> None:
        rest_s = FIRST_REST_S
        while (queue := self._still(tenant, number, ticket)) is not None:
            place = Place(ticket.number, ticket.since, ticket.priority, state="resting")
            with self._desk.queues.place(tenant, queue, place):
                await asyncio.sleep(rest_s)
                place.state = "waiting"
                if not await self._turn(tenant, number, ticket, place):
                    break
                place.state = "calling"
                self._desk.queues.wake(tenant)
                ticket.tries += 1
                self._save(tenant, number, ticket)
                if await self._reached(tenant, queue, ticket, place):
                    return
            rest_s = queue.callback_retry_s
        logger.info("gave up calling back", extra={"tenant": tenant, "queue": number, "tries": ticket.tries})
        self.forget(tenant, number, ticket)

    async def _turn(self, tenant: str, number: str, ticket: Ticket, place: Place) -> bool:
        """Wait until the place is the next and an agent is free; False when it is too late."""
        while (queue := self._still(tenant, number, ticket)) is not None:
            crew = Crew(
                self._desk, self._directory.current.tenant(tenant), ticket.number, partial(self._is_there, tenant)
            )
            if crew.free_for(queue, place):
                return True
            await place.changed(LOOK_S)
        return False

    async def _reached(self, tenant: str, queue: Queue, ticket: Ticket, place: Place) -> bool:
        """Whether the caller answered and pressed the key."""
        assert self._app is not None, "calls are made while the App runs"
        attempt = _Attempt(self, tenant, queue, ticket, place)
        try:
            await self._app.originate(
                ticket.number, queue.number, tenant=tenant, reach=attempt.reach, then=attempt.talk
            )
        except (CallOutcome, ValueError) as refused:
            logger.info("could not call back", extra={"tenant": tenant, "queue": queue.number, "why": str(refused)})
            return False
        return await attempt.confirmed

    def _still(self, tenant: str, number: str, ticket: Ticket) -> Queue | None:
        """The queue, while it calls back and the ticket has time and tries left."""
        found = self._directory.current.maybe_tenant(tenant)
        queues = () if found is None else found.plan.queues
        queue = next((each for each in queues if each.number == number and each.callback), None)
        if queue is None or ticket.tries >= queue.callback_tries or self._now() >= ticket.until:
            return None
        return queue

    def forget(self, tenant: str, queue: str, ticket: Ticket) -> None:
        """It is done."""
        self._desk.state.tenant(tenant).set(owner_of(queue), KEY_PREFIX + ticket.number, None)

    def _save(self, tenant: str, queue: str, ticket: Ticket) -> None:
        value = json.dumps(asdict(ticket))
        self._desk.state.tenant(tenant).set(owner_of(queue), KEY_PREFIX + ticket.number, value)

    def _is_there(self, tenant: str, number: str) -> bool:
        return self._app is not None and self._app.has_phone(Resource(tenant, number))

    def _now(self) -> float:
        assert self._app is not None, "promises are made while the App runs"
        return self._app.wallclock()

    # What an attempt needs

    def visit(self, call: Call, caller: str = "") -> Visit:
        """A call of ours on its way through the plan of now."""
        return Visit(call, self._desk, self._directory.current, caller)

    def places(self, call: Call) -> AbstractContextManager[None]:
        """As any call has them. Raises: Rejected."""
        return self._places(call)


class _Attempt:
    """One call to who is called back. `confirmed` is done when it is known whether the key was pressed."""

    def __init__(self, callbacks: Callbacks, tenant: str, queue: Queue, ticket: Ticket, place: Place) -> None:
        self._callbacks = callbacks
        self._tenant = tenant
        self._queue = queue
        self._ticket = ticket
        self._place = place
        self._held = ExitStack()
        self._caller = ""
        self.confirmed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def reach(self, first: Call) -> Call:
        """Ring the caller. Raises: CallOutcome."""
        with ExitStack() as held:
            held.enter_context(self._callbacks.places(first))
            call = await self._dial(first, held)
            self._held = held.pop_all()
        return call

    async def _dial(self, first: Call, held: ExitStack) -> Call:
        visit = self._callbacks.visit(first)
        target = call_back(visit.directory, self._tenant, self._ticket.number, visit.at, state=visit.state)
        if target is None:
            raise Rejected(reasons.UNKNOWN_NUMBER)
        if isinstance(target, ToExtension):
            self._caller = target.extension.number
            held.enter_context(visit.desk.admission.callee(self._tenant, target.extension))
            return await first.dial(self._caller, timeout=RING_S)
        held.enter_context(place_outside(visit, target))
        return await dial_out(visit, target, timeout=RING_S)

    async def talk(self, call: Call) -> None:
        """Let who answered wait for an agent. Raises: CallOutcome."""
        with self._held:
            visit = self._callbacks.visit(call, self._caller)
            visit.speak(call, visit.language_of(self._caller))
            try:
                is_there = await self._asked(call)
            except CallOutcome:
                self._tell(is_there=False)
                raise
            self._tell(is_there=is_there)
            if is_there:
                self._callbacks.forget(self._tenant, self._queue.number, self._ticket)
                place = Place(self._ticket.number, self._place.since, self._place.priority, call)
                await wait_again(visit, self._queue, place)

    async def _asked(self, call: Call) -> bool:
        for _ in range(TIMES_ASKED):
            if await call.ask(call.prompts.say(["queue/callback-here"]), digits=1, timeout=ANSWER_S) == CALLBACK_KEY:
                return True
        return False

    def _tell(self, *, is_there: bool) -> None:
        with suppress(asyncio.InvalidStateError):
            self.confirmed.set_result(is_there)


def _nothing() -> None:
    """The promise was made before."""
