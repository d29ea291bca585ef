"""An ended call leaves nothing for the cycle collector: its pauses would stop the signalling of every call."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import voipat
from tests.sim.plan_office import PlanOffice
from tests.sim.voicemail_office import VoicemailOffice
from voipat.testing import Phone, SimWorld


async def stay(bridge: voipat.Bridge) -> None:
    """What an App does beside a conversation, until it is cancelled at its end."""
    await asyncio.Event().wait()


def office() -> voipat.App:
    registrar = voipat.Registrar("example.com", password_of={"alice": "a-secret", "bob": "b-secret"}.get)
    app = voipat.App(listen="udp://127.0.0.1:5060", registrar=registrar)
    app.on_bridge(stay)

    @app.on_call("sip:*@example.com")
    async def user(call: voipat.Call) -> None:
        await call.bridge(await call.dial(call.to.user or "", timeout=20.0))

    return app


def answers(bob: Phone) -> None:
    bob.answers(after=0.5)


def refuses(bob: Phone) -> None:
    bob.refuses(486)


def rings(bob: Phone) -> None:
    bob.rings()


HELD = {
    *("Call", "Fork", "Bridge", "MediaLeg", "Task", "Request", "Response", "SessionDescription"),
    *("Dialog", "Negotiation", "Transaction"),
}


@contextmanager
def garbage_of() -> Iterator[set[str]]:
    """The classes of what only the collector would find of the time within."""
    found: set[str] = set()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found |= {type(garbage).__name__ for garbage in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("behaviour", [answers, refuses, rings])
def test_an_ended_call_is_in_no_cycle(behaviour: object, seed: int) -> None:
    assert callable(behaviour)
    with SimWorld(office(), seed=seed) as world:
        behaviour(world.phone("sip:bob@example.com").register())
        alice = world.phone("sip:alice@example.com")
        world.run(until=2.0)
        with garbage_of() as found:
            for number in range(3):
                alice.dial("bob").hangs_up(after=0.5)
                world.run(until=80.0 * (number + 1))
    assert not found & HELD


@pytest.mark.parametrize("number", ["1002", "1003", "1005", "500", "600", "610", "700", "800", "*43", "*97", "7777"])
def test_a_call_to_what_the_office_has_is_in_no_cycle(number: str, seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        caller = office.phone(1001)
        office.phone(1002).answers(after=0.5)
        office.phone(1003).rings()
        office.phone(1004).answers(after=0.5)
        office.world.run(until=2.0)
        with garbage_of() as found:
            for turn in range(2):
                caller.dial(number).hangs_up(after=3.0)
                office.world.run(until=80.0 * (turn + 1))
    assert not found & HELD


@pytest.mark.parametrize("after", [0.6, 3.0, 12.0])
def test_a_call_to_a_mailbox_is_in_no_cycle(after: float, tmp_path: Path, seed: int) -> None:
    """Also one that ends in the greeting: a phone that is away gets as many calls as come."""
    with VoicemailOffice(tmp_path, seed=seed) as office:
        caller = office.phone(1001)
        office.world.run(until=2.0)
        with garbage_of() as found:
            for turn in range(2):
                call = caller.dial("1002").hangs_up(after=after)
                office.world.run(until=80.0 * (turn + 1))
                assert call.was_answered
    assert not found & HELD
