"""Parked calls by tenant and slot. A slot is free again the moment its call is taken, ends or goes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pbx.objects.groups import Park
from voipat import Call, Rejected, reasons

# Whose slot was said last is remembered for as many parkers, so that an attended transfer lands on it.
MAX_REMEMBERED: Final = 10_000

Slot = tuple[str, str]


@dataclass(eq=False, slots=True)
class Parked:
    """A call that waits in a slot; `taken` is done with the call of who takes it."""

    call: Call
    slot: str
    parker: str
    taken: asyncio.Future[Call]


class Parking:
    """The slots of every tenant."""

    def __init__(self) -> None:
        self._slots: dict[Slot, Parked] = {}
        self._said: dict[Slot, str] = {}
        # Told of each slot that is taken (with the number that waits) or free again (None), for its lamps.
        self.on_change: Callable[[str, str, str | None], None] = _nobody

    @contextmanager
    def place(self, call: Call, park: Park, parker: str) -> Iterator[Parked]:
        """A free slot for a call: the one that this parker was told last, else the first. Raises: Rejected."""
        tenant = call.tenant
        preferred = self._said.get((tenant, parker), "")
        wanted = [preferred, *park.numbers] if preferred in park.numbers else park.numbers
        free = next((slot for slot in wanted if self._is_free(tenant, slot)), None)
        if free is None:
            raise Rejected(reasons.PARK_FULL)
        parked = Parked(call, free, parker, asyncio.get_running_loop().create_future())
        self._slots[tenant, free] = parked
        self.on_change(tenant, free, call.own_number)
        try:
            yield parked
        finally:
            self._forget(tenant, parked)

    def take(self, tenant: str, slot: str, taker: Call) -> bool:
        """Give the call in a slot to `taker`; False when there is none, or somebody has just taken it."""
        parked = self._slots.get((tenant, slot))
        if parked is None or parked.taken.done() or parked.call.outcome is not None:
            return False
        self._forget(tenant, parked)
        parked.taken.set_result(taker)
        return True

    def said(self, parked: Parked) -> None:
        """The parker knows this slot now."""
        self._said.pop((parked.call.tenant, parked.parker), None)
        if len(self._said) >= MAX_REMEMBERED:
            del self._said[next(iter(self._said))]
        self._said[parked.call.tenant, parked.parker] = parked.slot

    def parked(self, tenant: str | None = None) -> list[Parked]:
        """The calls that wait now."""
        return [each for (domain, _), each in self._slots.items() if tenant in (None, domain)]

    def _is_free(self, tenant: str, slot: str) -> bool:
        parked = self._slots.get((tenant, slot))
        # A call that has ended just now: its flow has not got to know yet.
        return parked is None or parked.call.outcome is not None

    def _forget(self, tenant: str, parked: Parked) -> None:
        if self._slots.get((tenant, parked.slot)) is parked:
            del self._slots[tenant, parked.slot]
            self.on_change(tenant, parked.slot, None)


def _nobody(tenant: str, slot: str, number: str | None) -> None:
    """Until lamps follow."""
