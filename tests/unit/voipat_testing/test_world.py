"""SimWorld around an App as its author wrote it for production, and what the world says of what is left over."""

from __future__ import annotations

import asyncio

import pytest

import voipat
from voipat.testing import LeakError, RanTooLongError, ScriptError, SimWorld

registrar = voipat.Registrar("example.com", password_of=lambda user: f"secret of {user}")
app = voipat.App(listen="udp://127.0.0.1:5060", registrar=registrar)


@app.on_call("sip:echo@*")
async def echo(call: voipat.Call) -> None:
    await call.echo()


@app.on_call("sip:hello@*", public=True)
async def hello(call: voipat.Call) -> None:
    await call.answer()
    await asyncio.sleep(3.0)


@app.on_call("sip:*@example.com")
async def user(call: voipat.Call) -> None:
    await call.bridge(await call.dial(call.to.user or "", timeout=20.0))


@pytest.mark.parametrize("seed", [7, 8])
def test_an_app_made_for_production_runs_in_a_world(seed: int) -> None:
    with SimWorld(app, seed=seed, loss=0.05) as world:
        alice = world.phone("sip:alice@example.com")
        call = alice.dial("sip:echo@example.com").hears(alice.tone).hangs_up(after=1.0)
        world.run()
        assert call.was_answered
        assert world.leaks() == []


def test_a_handler_that_returns_hangs_up(seed: int) -> None:
    with SimWorld(app, seed=seed) as world:
        call = world.phone("sip:stranger@elsewhere.test").dial("sip:hello@example.com")
        world.run()
        assert call.was_answered and call.ended_by == "peer"
        assert (call.ended_at or 0.0) - (call.answered_at or 0.0) == pytest.approx(3.0, abs=0.05)


def test_users_call_each_other_with_what_the_registrar_knows(seed: int) -> None:
    with SimWorld(app, seed=seed) as world:
        alice, bob = world.phone("sip:alice@example.com"), world.phone("sip:bob@example.com").register().answers()
        call = alice.dial("bob", after=1.0).hears(bob.tone).hangs_up()
        world.run()
        assert call.was_answered and world.leaks() == []


def test_the_trace_of_one_seed_is_one_trace(seed: int) -> None:
    def digest(seed: int) -> str:
        with SimWorld(app, seed=seed, loss=0.1) as world:
            world.phone("sip:alice@example.com").dial("sip:echo@example.com").hangs_up(after=2.0)
            world.run()
            return world.trace_digest()

    assert digest(seed) == digest(seed) != digest(seed + 1)


def test_a_call_that_nobody_ends_is_reported_with_the_ladder() -> None:
    with SimWorld(app) as world:
        call = world.phone("sip:alice@example.com").dial("sip:echo@example.com")
        with pytest.raises(RanTooLongError, match="alice → voipat  INVITE"):
            world.run(limit=20.0)
        assert "voipat: 1 dialogs" in world.leaks() and "engine: 1 ports" in world.leaks()
        call.hang_up()
        world.run()
        assert world.leaks() == []


def test_a_timer_that_outlives_the_world_is_a_leak() -> None:
    with pytest.raises(LeakError, match="1 left after"), SimWorld() as world:
        world.loop.call_later(1000.0, print, "never")


def test_a_callback_that_raises_fails_the_run() -> None:
    with SimWorld() as world:
        world.at(1.0, lambda: 1 // 0)
        with pytest.raises(ScriptError, match="ZeroDivisionError"):
            world.run(until=2.0)


def test_a_failing_test_gets_the_ladder_as_a_note() -> None:
    def fail() -> None:
        with SimWorld(app, seed=5) as world:
            world.phone("sip:alice@example.com").dial("sip:echo@example.com").hangs_up()
            world.run()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        fail()
    assert "seed 5" in caught.value.__notes__[0] and "alice → voipat  INVITE" in caught.value.__notes__[0]


def test_a_world_starts_without_the_phones_of_the_one_before() -> None:
    with SimWorld(app) as world:
        bob = world.phone("sip:bob@example.com").register()
        world.run(until=1.0)
        assert bob.is_registered and len(registrar.location) == 1
    assert len(registrar.location) == 0
