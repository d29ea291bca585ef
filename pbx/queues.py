"""Who waits in which queue, and what each agent does. Agents are a tenant's: one of two queues gets one call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

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


@dataclass(eq=False, slots=True)
class Place:
    """A caller in a queue."""

    call: Call
    woken: asyncio.Future[None]
    is_ringing: bool = False

    async def changed(self, timeout: float) -> None:
        """Wait until an agent may have become free. Raises: HungUp."""
        await self.call.until(self.woken, timeout=timeout)
        if self.woken.done():
            self.woken = asyncio.get_running_loop().create_future()


@dataclass(slots=True)
class Line:
    """The callers of one queue by the time they came, and who was rung last."""

    waiting: list[Place] = field(default_factory=list)
    last_rung: str = ""

    def is_next(self, place: Place) -> bool:
        """Whether nobody before this caller still waits for an agent to ring."""
        return next((each for each in self.waiting if not each.is_ringing), None) is place

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
    def place(self, call: Call, queue: Queue) -> Iterator[Place]:
        """The last place of a queue, until the block ends."""
        line = self.line(call.tenant, queue)
        place = Place(call, asyncio.get_running_loop().create_future())
        line.waiting.append(place)
        try:
            yield place
        finally:
            line.waiting.remove(place)
            self.wake(call.tenant)

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
                if not place.woken.done():
                    place.woken.set_result(None)


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
