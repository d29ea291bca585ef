"""What the daemon's sockets count (S4)."""

from __future__ import annotations

import asyncio

from pbx.listeners import ListeningNetwork
from sipcore.aio.tcp import TcpLimits
from sipcore.aio.udp import UdpTransport
from tests.unit.sipcore.aio.test_transports import driver, overflow


def test_what_the_kernel_dropped_is_counted_and_stays_counted_when_a_socket_closes() -> None:
    async def main() -> None:
        async with driver() as (made, _):
            network = ListeningNetwork(TcpLimits())
            first, second = [await network.open(made, "udp://127.0.0.1:0") for _ in range(2)]
            assert isinstance(first, UdpTransport) and isinstance(second, UdpTransport)
            assert network.drops == 0
            lost = overflow(first)
            assert network.drops == lost > 0
            lost += overflow(second)
            await first.close()
            assert network.drops == lost
            third = await network.open(made, "udp://127.0.0.1:0")
            assert isinstance(third, UdpTransport) and network.drops == lost
            lost += overflow(third)
            assert network.drops == lost

    asyncio.run(main())
