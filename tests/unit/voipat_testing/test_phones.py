"""Scripted phones, phone to phone without a server: the calls, what each side saw, and the same again by seed."""

from __future__ import annotations

import pytest

from voipat.testing import Phone, ScriptError, SimWorld

BOB = "sip:bob@10.0.0.2:5060"


def pair(world: SimWorld, transport: str = "UDP") -> tuple[Phone, Phone]:
    alice = world.phone("sip:alice@10.0.0.1", transport=transport)
    return alice, world.phone("sip:bob@10.0.0.2", transport=transport)


def test_a_call_is_a_ladder() -> None:
    with SimWorld() as world:
        alice, bob = pair(world)
        bob.answers(after=2.0)
        call = alice.dial(BOB).hangs_up(after=3.0)
        world.run()
        assert world.ladder(uris=False).splitlines() == [
            "    0.000 alice → bob  INVITE",
            "    0.010 bob → alice  180 INVITE",
            "    2.010 bob → alice  200 INVITE",
            "    2.020 alice → bob  ACK",
            "    5.020 alice → bob  BYE",
            "    5.030 bob → alice  200 BYE",
        ]
        assert (call.statuses, call.ended_by, bob.received[0].ended_by) == ([180, 200], "alice", "peer")
        assert world.leaks() == []


def test_phones_hear_each_other_and_digits() -> None:
    with SimWorld(loss=0.02) as world:
        alice, bob = pair(world)
        bob.answers().on_call(lambda call: call.hears(alice.tone))
        alice.dial(BOB).hears(bob.tone).presses("42#").hangs_up(after=1.0)
        world.run()
        assert bob.received[0].heard.digits == "42#"


def test_a_tone_that_does_not_come_fails_the_run_with_the_ladder() -> None:
    with SimWorld(seed=9) as world:
        alice, bob = pair(world)
        bob.answers()
        alice.dial(BOB).hears(bob.tone + 100, within=1.0).hangs_up()
        with pytest.raises(ScriptError, match=r"expected a tone of (?s:.*)seed 9(?s:.*)alice → bob  INVITE"):
            world.run()
        for call in alice.calls:
            call.unmet.clear()


def test_hold_and_resume() -> None:
    with SimWorld() as world:
        alice, bob = pair(world)
        bob.answers()
        alice.dial(BOB).holds(after=1.0).resumes(after=2.0).hangs_up(after=1.0)
        world.run(until=2.5)
        assert bob.received[0].held_by_peer
        world.run(until=4.5)
        assert not bob.received[0].held_by_peer
        world.run()
        assert world.leaks() == []


def test_busy_cancel_and_no_answer() -> None:
    with SimWorld() as world:
        alice, bob = pair(world)
        bob.refuses(486)
        busy = alice.dial(BOB)
        world.run()
        bob.rings()
        given_up = alice.dial(BOB).cancels(after=5.0)
        world.run()
        bob.ignores()
        unanswered = alice.dial(BOB)
        world.run()
        assert (busy.status, given_up.status, unanswered.ended_by) == (486, 487, "network")
        assert [call.ended_by for call in bob.received] == ["bob", "peer"]
        assert world.leaks() == []


def test_streams_carry_calls_too() -> None:
    with SimWorld() as world:
        alice, bob = pair(world, "TCP")
        bob.answers()
        call = alice.dial(BOB + ";transport=tcp").hangs_up(after=1.0)
        world.run()
        assert (call.status, call.was_answered, world.leaks()) == (200, True, [])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_calls_survive_a_bad_network_and_repeat_by_seed(seed: int) -> None:
    def play() -> tuple[str, list[int]]:
        with SimWorld(seed=seed, loss=0.2, jitter=0.05, reorder=0.05, duplicate=0.05) as world:
            alice, bob = pair(world)
            bob.answers()
            calls = [alice.dial(BOB, after=10.0 * number).hangs_up(after=2.0) for number in range(10)]
            world.run(limit=300)
            assert all(call.was_answered for call in calls)
            assert world.leaks() == []
            return world.trace_digest(), [len(call.statuses) for call in calls]

    assert play() == play()


def test_another_seed_is_another_trace() -> None:
    def digest(seed: int) -> str:
        with SimWorld(seed=seed) as world:
            alice, bob = pair(world)
            bob.refuses()
            alice.dial(BOB)
            world.run()
            return world.trace_digest()

    assert digest(1) == digest(1) != digest(2)


def test_an_offer_may_come_late() -> None:
    with SimWorld() as world:
        alice, bob = pair(world)
        bob.answers().on_call(lambda call: call.hears(alice.tone))
        call = alice.dial(BOB, late_offer=True).hears(bob.tone).hangs_up(after=1.0)
        world.run()
        assert call.was_answered and world.leaks() == []


def test_an_answered_call_can_be_given_up_and_an_incoming_one_hung_up_while_it_rings() -> None:
    with SimWorld() as world:
        alice, bob = pair(world)
        bob.answers(after=1.0)
        given_up = alice.dial(BOB).cancels(after=3.0)
        world.run()
        assert given_up.was_answered and given_up.ended_by == "alice"
        bob.rings().on_call(lambda call: world.at(world.now + 2.0, call.hang_up))
        refused = alice.dial(BOB)
        world.run()
        assert (refused.status, refused.ended_by) == (480, "peer")


def test_a_phone_that_was_cut_off_can_come_back() -> None:
    with SimWorld() as world:
        alice, bob = pair(world)
        bob.answers()
        world.network.cut_off("bob")
        world.at(5.0, lambda: world.network.restore("bob"))
        call = alice.dial(BOB).hangs_up(after=1.0)
        world.run()
        assert call.was_answered and call.answered_at is not None and call.answered_at > 5.0
