"""Which agents of a queue may be rung now: at work, and left alone by nobody else's call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pbx.flows.visit import Desk, Visit
from pbx.objects.groups import Queue
from pbx.queues import Place
from pbx.tenant_state import QUEUE_PAUSED
from pbx.tenants import TenantConfig


@dataclass(frozen=True, slots=True)
class Crew:
    """The agents of a tenant, as `caller` (an extension, or "") finds them."""

    desk: Desk
    tenant: TenantConfig
    caller: str
    is_reachable: Callable[[str], bool]

    def serves(self, number: str) -> bool:
        """Whether an agent is at work: registered, not paused, not to be left alone."""
        extension = self.tenant.extensions.get(number)
        state = self.desk.state.tenant(self.tenant.domain)
        if extension is None or number == self.caller or state.dnd(extension):
            return False
        return state.get(number, QUEUE_PAUSED) != "on" and self.is_reachable(number)

    def free_for(self, queue: Queue, place: Place) -> list[str]:
        """Who may be rung for this place now; nobody before it is its turn."""
        if not self.desk.queues.line(self.tenant.domain, queue).is_next(place):
            return []
        return [number for number in queue.agents if self.serves(number) and self._is_free(number)]

    def _is_free(self, number: str) -> bool:
        agent = self.desk.queues.agent(self.tenant.domain, number)
        is_in_call = self.desk.admission.calls_of(self.tenant.domain, number) > 0
        return not agent.reserved and not is_in_call and agent.free_at <= asyncio.get_running_loop().time()


def crew_of(visit: Visit) -> Crew:
    """The agents, as a caller finds them."""
    return Crew(visit.desk, visit.tenant, visit.caller, visit.call.is_reachable)
