"""A call to a phone that is gone fails at once, not at Timer B: over real sockets, since it is ICMP that tells."""

from __future__ import annotations

import asyncio

import pytest

from media import Engine
from tests.unit.voipat.test_listeners import FewAddresses, ask, free_port
from voipat import App, Call

TIMER_B_S = 32.0


@pytest.mark.rfc(
    "3261",
    "18.4",
    "If the transport user asks for a message to be sent over an unreliable transport, and the result is an ICMP "
    "error, the behavior depends on the type of ICMP error. Host, network, port or protocol unreachable errors, or "
    "parameter problem errors SHOULD cause the transport layer to inform the transport user of a failure in "
    "sending.",
)
def test_a_call_to_a_closed_port_fails_at_once() -> None:
    async def run() -> tuple[int, float]:
        with Engine(port_range=(21000, 21099)) as engine:
            port, loop = free_port(), asyncio.get_running_loop()
            app = App(listen=f"udp://127.0.0.1:{port}", engine=engine, network=FewAddresses())

            @app.on_call("*", public=True)
            async def forward(call: Call) -> None:
                await call.dial(f"sip:phone@127.0.0.1:{free_port()}")

            async with app:
                for attempt in range(20):
                    begun = loop.time()
                    response = await ask("127.0.0.1", port, tag=f"a{attempt}")
                    # A machine that has too much to do refuses the call before anybody is asked.
                    if response.status != 503:
                        break
                    await asyncio.sleep(0.5)
                return response.status, loop.time() - begun

    status, seconds = asyncio.run(run())
    assert status == 480
    assert seconds < TIMER_B_S / 4
