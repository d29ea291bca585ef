"""`voipat.App` as a public proxy in a process of its own: its users register, strangers reach them without a digest."""

from __future__ import annotations

import asyncio
import gc
import sys

import uvloop

import voipat


async def main() -> None:
    registrar = voipat.Registrar("office.test", password_of=lambda user: f"pass-{user}", digest=("MD5",))
    listen = f"udp://127.0.0.1:{sys.argv[1]}"
    async with voipat.App(listen=listen, registrar=registrar, proxy=voipat.Proxy(public=True)):
        gc.freeze()
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
