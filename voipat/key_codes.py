"""Codes that are pressed while two calls are joined: `##`, `*1`. What is no code reaches the other side complete.

    key ─▶ CodeWatch.hear ─▶ begins a code: kept for `gap` seconds ─▶ is one: told, and nobody else hears it
                           ╰▶ begins none ─────────────────────────▶ passed on, with what was kept before it

A key of a peer without telephone-events is heard by the other side as it is pressed: its tone cannot be taken back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final

from sipcore.values import value_object

if TYPE_CHECKING:
    from voipat.bridge import Bridge
    from voipat.call import Call

DEFAULT_GAP_S: Final = 0.7

PassOn = Callable[[], None]


@value_object(frozen=True, slots=True)
class Pressed:
    """A code, and the call whose peer pressed it."""

    call: Call
    code: str


class CodeWatch:
    """The keys of one side of a bridge."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        codes: Collection[str],
        gap: float,
        tell: Callable[[str], None],
        bridge: Bridge,
    ) -> None:
        self.bridge: Final = bridge
        self._loop = loop
        self._codes = frozenset(codes)
        self._gap = gap
        self._tell = tell
        self._kept: list[tuple[str, PassOn]] = []
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, digit: str, pass_on: PassOn) -> None:
        """A key; `pass_on` gives it to the other side."""
        self._kept.append((digit, pass_on))
        self._stop_timer()
        self._settle(is_late=False)
        if self._kept:
            self._timer = self._loop.call_later(self._gap, self._settle_late)

    def close(self) -> None:
        """No more; what was kept is passed on."""
        self._stop_timer()
        self._settle(is_late=True)

    def _settle_late(self) -> None:
        self._timer = None
        self._settle(is_late=True)

    def _settle(self, *, is_late: bool) -> None:
        """Tell, pass on or keep what was pressed; nothing more comes for it when it `is_late`."""
        while self._kept:
            text = "".join(digit for digit, _ in self._kept)
            begun = any(len(code) > len(text) and code.startswith(text) for code in self._codes)
            if begun and not is_late:
                return
            if text in self._codes:
                self._kept.clear()
                self._tell(text)
                return
            _, pass_on = self._kept.pop(0)
            pass_on()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Codes:
    """`async for pressed in bridge.codes(…)`: as long as the bridge is up."""

    def __init__(self, bridge: Bridge, codes: Mapping[Call, Collection[str]], *, gap: float) -> None:
        self._waiting: deque[Pressed] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._loop = bridge.a_leg.switch.loop
        for call, wanted in codes.items():
            bridge.watch(call, CodeWatch(self._loop, wanted, gap, self._heard(call), bridge))

    def forget(self) -> None:
        """Codes that were pressed meanwhile count no more."""
        self._waiting.clear()

    def __aiter__(self) -> AsyncIterator[Pressed]:
        return self

    async def __anext__(self) -> Pressed:
        while not self._waiting:
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._waiting.popleft()

    def _heard(self, call: Call) -> Callable[[str], None]:
        def tell(code: str) -> None:
            call.note("%s pressed %s", call.id, code)
            self._waiting.append(Pressed(call, code))
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

        return tell
