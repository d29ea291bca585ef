"""Who waits in which queue, and what each agent does. Agents are a tenant's: one of two queues gets one call."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from pbx.objects.groups import Queue
from voipat import Call

# A phone that refused or did not answer is not rung again at once.
REST_S: Final = 5.0


@dataclass(slots=True)
class Agent:
    """What an agent has done; `reserved` by so many; `free_at` is when wrap-up, or the rest after a miss, is over."""

    reserved: int = 0
    free_at: float = 0.0
    last_ended: float = 0.0
    calls: int = 0
    missed: int = 0


# Whose agent rings, who is being called back, and who rests between two tries let those behind pass.
PlaceState = Literal["waiting", "ringing", "calling", "resting"]


def _new_future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class Place:
    """Who waits in a queue, at the telephone or (without a call) to be called back; `since` is a wallclock."""

    number: str
    since: float
    priority: int = 0
    call: Call | None = None
    state: PlaceState = "waiting"
    wants_callback: bool = False
    woken: asyncio.Future[None] = field(default_factory=_new_future)

    @property
    def rank(self) -> tuple[int, float]:
        """Sorts before that of a place whose turn comes later."""
        return -self.priority, self.since

    async def changed(self, timeout: float) -> None:
        """Wait until an agent may have become free. Raises: HungUp."""
        if self.call is None:
            await asyncio.wait((self.woken,), timeout=timeout)
        else:
            await self.call.until(self.woken, timeout=timeout)
        if self.woken.done():
            self.woken = _new_future()

    def wake(self) -> None:
        """Let who waits in `changed` look again."""
        if not self.woken.done():
            self.woken.set_result(None)


@dataclass(slots=True)
class Line:
    """Who waits in one queue, by priority and then the time they came, and who was rung last."""

    waiting: list[Place] = field(default_factory=list)
    last_rung: str = ""
    newest: float = 0.0

    def moment(self, wallclock: float) -> float:
        """Now, and never before who came before: the wallclock may be set back."""
        self.newest = max(self.newest, wallclock)
        return self.newest

    def is_next(self, place: Place) -> bool:
        """Whether nobody before this caller still waits for an agent to ring."""
        return next((each for each in self.waiting if each.state == "waiting"), None) is place

    def position(self, place: Place) -> int:
        """1 for who is next."""
        return self.waiting.index(place) + 1


class Queues:
    """The queues of every tenant. What is kept is bounded by the queues and agents that the configuration has."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], Line] = {}
        self._agents: dict[tuple[str, str], Agent] = {}

    def line(self, tenant: str, queue: Queue) -> Line:
        """The callers of a queue."""
        return self._lines.setdefault((tenant, queue.number), Line())

    def agent(self, tenant: str, number: str) -> Agent:
        """An agent of the tenant."""
        return self._agents.setdefault((tenant, number), Agent())

    @contextmanager
    def place(self, tenant: str, queue: Queue, place: Place) -> Iterator[Place]:
        """A place in a queue, behind all of its rank, until the block ends."""
        line = self.line(tenant, queue)
        insort(line.waiting, place, key=lambda each: each.rank)
        try:
            yield place
        finally:
            line.waiting.remove(place)
            self.wake(tenant)

    @contextmanager
    def reserved(self, tenant: str, number: str) -> Iterator[Agent]:
        """An agent whom no other caller is offered meanwhile."""
        agent = self.agent(tenant, number)
        agent.reserved += 1
        try:
            yield agent
        finally:
            agent.reserved -= 1
            self.wake(tenant)

    def wake(self, tenant: str) -> None:
        """An agent may be free: let the callers of the tenant look."""
        for (domain, _), line in self._lines.items():
            for place in line.waiting if domain == tenant else ():
                place.wake()


def in_order(queue: Queue, free: Sequence[str], agents: Sequence[Agent], last_rung: str, chance: float) -> list[str]:
    """Whom to ring next of these free agents: all, or one by the queue's strategy. `chance` is from 0 up to 1."""
    if not free or queue.strategy == "ring_all":
        return list(free)
    state = dict(zip(free, agents, strict=True))
    match queue.strategy:
        case "longest_idle":
            return [min(free, key=lambda number: state[number].last_ended)]
        case "fewest_calls":
            return [min(free, key=lambda number: (state[number].calls, state[number].last_ended))]
        case "random":
            return [free[min(int(chance * len(free)), len(free) - 1)]]
    after = queue.agents.index(last_rung) + 1 if last_rung in queue.agents else 0
    turn = (*queue.agents[after:], *queue.agents[:after])
    return [next(number for number in turn if number in state)]
