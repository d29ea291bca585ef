"""The resolver against a toy DNS server on loopback, under asyncio and uvloop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from sipcore.aio import resolver as module
from tests.nameserver import bench

loops = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
Loop = Callable[[], asyncio.AbstractEventLoop]

ZONE = """
x.test 300 NAPTR 10 1 "s" "SIP+D2T" "" _sip._tcp.x.test.
x.test 300 NAPTR 20 1 "s" "SIP+D2U" "" _sip._udp.x.test.
_sip._tcp.x.test 300 SRV 1 0 5090 b.x.test.
_sip._udp.x.test 300 SRV 1 0 5080 a.x.test.
a.x.test 300 A 192.0.2.1
b.x.test 0 A 192.0.2.2
"""


def run(loop: Loop, scenario: Any) -> None:
    async def limited() -> None:
        async with asyncio.timeout(120):
            await scenario()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(limited())


@loops
@pytest.mark.rfc(
    "3263",
    "4.1",
    "First, a client resolving a SIPS URI MUST discard any services that do not contain 'SIPS' as the protocol in "
    "the service field.",
)
def test_naptr_srv_and_addresses_of_a_real_zone(loop: Loop) -> None:
    async def scenario() -> None:
        async with bench(ZONE) as it:
            assert await it.ask("x.test") == ["TCP 192.0.2.2:5090", "UDP 192.0.2.1:5080"]
            assert await it.ask("x.test", transport="UDP") == ["UDP 192.0.2.1:5080"]
            assert await it.ask("a.x.test", 7) == ["UDP 192.0.2.1:7"]

    run(loop, scenario)


@loops
def test_answers_and_their_absence_are_remembered(loop: Loop) -> None:
    async def scenario() -> None:
        async with bench(ZONE) as it:
            for _ in range(3):
                assert await it.ask("a.x.test", 7) == ["UDP 192.0.2.1:7"]
                assert await it.ask("gone.test", 7) == []
            assert it.server.asked == ["a.x.test A", "gone.test A"]
            await it.ask("b.x.test", 7)
            await it.ask("b.x.test", 7)
            assert it.server.asked[2:] == ["b.x.test A"] * 2, "a TTL of 0 is not kept"

    run(loop, scenario)


@loops
def test_who_asks_at_the_same_time_shares_the_look_up(loop: Loop) -> None:
    async def scenario() -> None:
        async with bench(ZONE) as it:
            answers = await asyncio.gather(*(it.ask("a.x.test", 7) for _ in range(20)))
            assert answers == [["UDP 192.0.2.1:7"]] * 20
            assert it.server.asked == ["a.x.test A"]

    run(loop, scenario)


@loops
def test_servers_that_are_silent_cost_the_budget_and_what_expired_is_used(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUDGET_S", 0.5)

    async def scenario() -> None:
        async with bench(ZONE) as it:
            assert await it.ask("b.x.test", 7) == ["UDP 192.0.2.2:7"]
            it.server.silent = True
            begun = it.driver.loop.time()
            stale, unknown = await asyncio.gather(it.ask("b.x.test", 7), it.ask("other.test", 7))
            # One after the other it would be twice the budget.
            assert it.driver.loop.time() - begun < 0.95
            assert sorted([stale, unknown]) == [[], ["UDP 192.0.2.2:7"]]
            assert it.resolver.counters["dns_stale"] == 1

    run(loop, scenario)


@loops
def test_servers_that_are_silent_cost_the_first_who_asks_alone_and_nothing_is_left_unheard(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUDGET_S", 0.5)
    monkeypatch.setattr(module, "SILENT_S", 2.0)

    async def scenario() -> None:
        unheard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
        async with bench(ZONE) as it:
            it.server.silent = True
            assert await it.ask("x.test") == []
            await asyncio.sleep(0.1)
            asked, begun = len(it.server.asked), it.driver.loop.time()
            assert {each.rpartition(" ")[0] for each in it.server.asked} == {"x.test"}, "no more once the time is over"
            for _ in range(3):
                assert await it.ask("x.test") == []
            assert it.driver.loop.time() - begun < 0.45 and len(it.server.asked) == asked
            it.server.silent = False
            await asyncio.sleep(2.1)
            assert await it.ask("x.test") == ["TCP 192.0.2.2:5090", "UDP 192.0.2.1:5080"]
            assert len(it.server.asked) > asked
        gc.collect()
        await asyncio.sleep(0)
        assert unheard == []

    run(loop, scenario)


@loops
def test_the_memory_is_bounded(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 5)

    async def scenario() -> None:
        async with bench(ZONE) as it:
            for number in range(20):
                await it.ask(f"n{number}.test", 7)
            assert len(it.resolver._known) == 5

    run(loop, scenario)


@loops
@pytest.mark.parametrize("name", ["x" * 70 + ".test", "a..b", "é.test", "."])
def test_a_name_that_is_none_leads_nowhere(loop: Loop, name: str) -> None:
    async def scenario() -> None:
        async with bench(ZONE) as it:
            assert await it.ask(name, 7) == []

    run(loop, scenario)
