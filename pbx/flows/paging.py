"""Paging and intercom: phones that answer by themselves and are heard at once.

A page is a conference of its own: who pages speaks, the others listen, or speak too with `two_way`. A phone that is in
a call, wants no calls, or does not answer by itself within `answer_s` is left out; nobody waits for it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from pbx.decisions import ToIntercom, ToPage
from pbx.flows.visit import Flow, Visit
from pbx.objects.groups import Page
from voipat import App, Call, CallOutcome, Conference, Rejected, Tone, reasons

SPEAK: Final = Tone(1000.0, 0.2)
NOBODY: Final = Tone((480.0, 620.0), 1.5)
INTERCOM_S: Final = 10.0
LONGEST_S: Final = 3600.0


def page(app: App) -> Flow:
    """The flow of `ToPage`."""

    async def run(visit: Visit, target: ToPage) -> None:
        """Raises: CallOutcome."""
        call, config = visit.call, target.page
        if not _may_page(visit, config):
            raise Rejected(reasons.PAGE_REFUSED)
        await call.answer()
        # A room for this page alone: two at once share no phone, since the first one's are busy.
        async with app.conference(f"page-{call.id}", tenant=call.tenant) as conference:
            paged = _Paged(visit, config, conference)
            async with call.meanwhile(paged.reach_all()):
                await call.play(SPEAK)
                await conference.join(call)
                await call.until(paged.over, timeout=LONGEST_S)
            if paged.reached:
                return
        await call.play(NOBODY)
        raise Rejected(reasons.NOBODY_PAGED)

    return run


async def intercom(visit: Visit, target: ToIntercom) -> None:
    """Talk with an extension whose phone answers by itself. Raises: CallOutcome."""
    extension, call = target.extension, visit.call
    number = extension.number
    if not extension.intercom or number == visit.caller:
        raise Rejected(reasons.INTERCOM_REFUSED)
    if visit.state.dnd(extension):
        raise Rejected(reasons.DO_NOT_DISTURB)
    if _is_busy(visit, number):
        raise Rejected(reasons.BUSY_LEVEL)
    with visit.desk.admission.extension(call.tenant, number, extension.max_calls, reasons.CALLEE_LIMIT):
        found = await call.dial(number, timeout=INTERCOM_S, auto_answer=True)
        await call.bridge(found)


class _Paged:
    """The phones of one page."""

    def __init__(self, visit: Visit, config: Page, conference: Conference) -> None:
        self._visit = visit
        self._config = config
        self._conference = conference
        self.reached = 0
        # Done when nobody listens any more.
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def reach_all(self) -> None:
        """Every phone that is free, until each has hung up. Never raises."""
        free = [number for number in self._config.members if self._is_free(number)]
        self._visit.call.note("page %s: %d of %d are free", self._config.number, len(free), len(self._config.members))
        await asyncio.gather(*(self._reach(number) for number in free))
        if not self.over.done():
            self.over.set_result(None)

    def _is_free(self, number: str) -> bool:
        visit = self._visit
        extension = visit.tenant.extensions.get(number)
        if extension is None or number == visit.caller or visit.state.dnd(extension):
            return False
        return not _is_busy(visit, number) and visit.call.is_reachable(number)

    async def _reach(self, number: str) -> None:
        call, admission, config = self._visit.call, self._visit.desk.admission, self._config
        limit = self._visit.tenant.extensions[number].max_calls
        # It hung up, did not answer, or the page is over: nothing to tell anybody.
        with suppress(CallOutcome), admission.extension(call.tenant, number, limit, reasons.CALLEE_LIMIT):
            found: Call = await call.dial(number, timeout=config.answer_s, auto_answer=True)
            await self._conference.join(found, muted=not config.two_way)
            self.reached += 1
            await found.hung_up()


def _may_page(visit: Visit, config: Page) -> bool:
    """Extensions alone, never a caller from outside who found the number in a menu."""
    if visit.caller not in visit.tenant.extensions:
        return False
    return not config.callers or visit.caller in config.callers


def _is_busy(visit: Visit, number: str) -> bool:
    return visit.desk.admission.calls_of(visit.call.tenant, number) > 0
