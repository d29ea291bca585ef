"""An ended call leaves nothing for the cycle collector: its pauses would stop the signalling of every call."""

from __future__ import annotations

import asyncio
import gc

import pytest

import voipat
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


@pytest.mark.parametrize("behaviour", [answers, refuses, rings])
def test_an_ended_call_is_in_no_cycle(behaviour: object, seed: int) -> None:
    assert callable(behaviour)
    with SimWorld(office(), seed=seed) as world:
        behaviour(world.phone("sip:bob@example.com").register())
        alice = world.phone("sip:alice@example.com")
        world.run(until=2.0)
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for number in range(3):
                alice.dial("bob").hangs_up(after=0.5)
                world.run(until=80.0 * (number + 1))
            gc.collect()
            found = {type(garbage).__name__ for garbage in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert not found & {"Call", "Fork", "Bridge", "MediaLeg", "Task", "Request", "Response", "SessionDescription"}
    assert not found & {"Dialog", "Negotiation", "Transaction"}
