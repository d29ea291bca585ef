"""A caller's stay in a queue as events and figures tell it, each stay once and with one end."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from pbx.flows.visit import Visit
from pbx.objects.groups import Queue
from pbx.queue_figures import Figures, day_of, figures_of, save_figures
from pbx.queues import Place
from voipat.events import QueueJoined, QueueLeft, QueueLeftWhy


class Stay:
    """`with Stay(…) as stay:` from the first moment in the queue; who leaves without `ends` gave up."""

    def __init__(self, visit: Visit, queue: Queue, place: Place, *, called_back: bool = False) -> None:
        self._visit: Final = visit
        self._queue: Final = queue
        self._place: Final = place
        self._called_back: Final = called_back
        self._day: Final = day_of(visit.at, visit.tenant.plan.settings.time_zone)
        self._joined = 0.0
        self._is_over = False

    def __enter__(self) -> Self:
        call, desk = self._visit.call, self._visit.desk
        self._joined = asyncio.get_running_loop().time()
        if not self._called_back:
            figures = self._figures()
            figures.offered += 1
            self._save(figures)
        # Who has just come is in the line in a moment.
        waiting = len(desk.queues.line(call.tenant, self._queue).waiting) + 1
        now = call.switch.wallclock()
        priority = self._place.priority
        desk.publish(
            QueueJoined(call.id, call.linked_id, call.tenant, self._queue.number, waiting, priority, joined=now)
        )
        return self

    def ends(self, why: QueueLeftWhy, agent: str = "") -> None:
        """The caller waits no more."""
        if self._is_over:
            return
        self._is_over = True
        call = self._visit.call
        wait_s = asyncio.get_running_loop().time() - self._joined
        self._count(why, wait_s)
        now = call.switch.wallclock()
        number = self._queue.number
        self._visit.desk.publish(
            QueueLeft(call.id, call.linked_id, call.tenant, number, why, agent, wait_s=wait_s, left=now)
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ends("abandoned")

    def _count(self, why: QueueLeftWhy, wait_s: float) -> None:
        figures = self._figures()
        if not self._called_back:
            figures.left(why, wait_s, self._queue.sla_s)
        elif why == "answered":
            figures.called_back += 1
        self._save(figures)

    def _figures(self) -> Figures:
        return figures_of(self._visit.state, self._queue.number, self._day)

    def _save(self, figures: Figures) -> None:
        save_figures(self._visit.state, self._queue.number, self._day, figures)
