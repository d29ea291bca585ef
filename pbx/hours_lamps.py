"""The lamps of hours that can be turned over by a code: on while they are turned over by hand, watched at the code.

A phone's key for `*28` both turns the hours over and shows that they are. A turn that has an end puts the lamp out by
itself: one timer waits for the next end of all tenants.
"""

from __future__ import annotations

import asyncio
from typing import Final

from pbx.directory import LiveDirectory
from pbx.lamps import Lamps
from pbx.tenant_state import OVERRIDE, LiveState
from voipat import App

Lamp = tuple[str, str]
# An end that is further away is looked at again: a loop's timers need not reach for a month.
_LONGEST_S: Final = 3600.0


class HoursLamps:
    """A service of the App. `refresh` after a reload; what is set by hand it hears of from the state."""

    def __init__(self, directory: LiveDirectory, state: LiveState, lamps: Lamps) -> None:
        self._directory: Final = directory
        self._state: Final = state
        self._lamps: Final = lamps
        self._app: App | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lit: set[Lamp] = set()
        self._timer: asyncio.TimerHandle | None = None
        state.on_change = self._changed

    async def start(self, app: App) -> None:
        """Show what was set before the start."""
        self._app, self._loop = app, asyncio.get_running_loop()
        self.refresh()

    async def stop(self) -> None:
        """No timer is left."""
        self._app = None
        self._cancel()

    def refresh(self) -> None:
        """Let each lamp be as the state of now says."""
        if self._app is None or self._loop is None:
            return
        now = self._app.wallclock()
        wanted = self._turned(now)
        for lamp in self._lit - wanted.keys():
            self._lamps.put_out(*lamp)
        for lamp in wanted.keys() - self._lit:
            self._lamps.light(*lamp)
        self._lit = set(wanted)
        ends = [end - now for end in wanted.values() if end is not None]
        self._cancel()
        if ends:
            self._timer = self._loop.call_later(min(*ends, _LONGEST_S), self.refresh)

    def _turned(self, now: float) -> dict[Lamp, float | None]:
        """The lamps of hours that are turned over now, with the end of that."""
        found: dict[Lamp, float | None] = {}
        for domain, tenant in self._directory.current.tenants.items():
            state = self._state.tenant(domain)
            for times in tenant.plan.times:
                if times.override_code is not None and state.override(times, now) is not None:
                    found[domain, times.override_code] = state.override_end(times)
        return found

    def _changed(self, key: str) -> None:
        if key == OVERRIDE:
            self.refresh()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
