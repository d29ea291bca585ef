"""How an App runs as a process, until a signal ends it; and what runs beside it."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from voipat.app import App


class Service(Protocol):
    """What lives beside the calls: started when the App can send, stopped while it still can."""

    async def start(self, app: App) -> None: ...

    async def stop(self) -> None: ...


async def serve_until_signalled(app: App) -> None:
    """The first SIGINT or SIGTERM lets calls finish, the second does not."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled.set)
    async with app:
        await signalled.wait()
        signalled.clear()
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(app.drain())
            again = group.create_task(signalled.wait())
            await asyncio.wait((draining, again), return_when=asyncio.FIRST_COMPLETED)
            draining.cancel()
            again.cancel()
