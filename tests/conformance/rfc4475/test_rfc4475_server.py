"""Each message of RFC 4475 to a server on real sockets of the loopback: UDP, TCP whole and in small segments."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.rfc4475.harness import client, server, statuses, write_in_segments
from tests.conformance.rfc4475.messages import MESSAGES, vector

each_message = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.rfc("4475", case.section)) for name, case in MESSAGES.items()]
)


@pytest.mark.rfc("3261", "18", "All SIP elements MUST implement UDP and TCP.")
@each_message
@pytest.mark.usefixtures("nothing_left")
def test_over_udp_the_server_answers_as_the_rfc_says(name: str) -> None:
    expected = MESSAGES[name].server

    async def scenario() -> None:
        async with server() as app, client(app, "UDP") as sender:
            sender.write(vector(name))
            assert statuses(await sender.final(len(expected))) == expected, MESSAGES[name].quote
            assert app.driver.counters["failed"] == 0

    asyncio.run(scenario())


@pytest.mark.rfc("3261", "18", "All SIP elements MUST implement UDP and TCP.")
@each_message
@pytest.mark.parametrize("segment", [0, 1, 3, 7])
@pytest.mark.usefixtures("nothing_left")
def test_over_tcp_the_server_answers_as_the_rfc_says(name: str, segment: int) -> None:
    case = MESSAGES[name]
    expected = case.server_over["TCP"]

    async def scenario() -> None:
        async with server() as app, client(app, "TCP") as sender:
            await write_in_segments(sender, vector(name), segment)
            if case.closes_stream:
                await sender.until(sender.closed.is_set)
            sender.is_stuck = case.on_stream == "incomplete"
            answers = statuses(await sender.final(len(expected)))
            assert (answers[: len(expected)] if case.closes_stream else answers) == expected, case.quote
            assert sender.closed.is_set() == case.closes_stream
            assert app.driver.counters["failed"] == 0

    asyncio.run(scenario())
