"""Queues: order, strategies, wrap-up, pauses, limits, and a hang-up at every moment."""

from __future__ import annotations

import pytest

from pbx.flows.queue import REST_S
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat import events
from voipat.testing import Phone

NOTES = (523, 659, 784)


def queue(text: str = "", agents: str = '["1004", "1005"]') -> str:
    """The example with more keys in its queue, and positions not said unless asked for."""
    return EXAMPLE.replace('agents = ["1004", "1005"]\nannounce_position = true', f"agents = {agents}\n{text}")


def later(office: PlanOffice, seconds: float) -> None:
    office.world.run(until=office.world.now + seconds)


def agents(office: PlanOffice, after: float = 1.0) -> list[Phone]:
    return [office.phone(number).answers(after=after) for number in (1004, 1005)]


def test_a_caller_hears_music_until_an_agent_takes_the_call(seed: int) -> None:
    with PlanOffice(queue(), seed=seed) as office:
        four, _ = agents(office, after=4.0)
        call = office.phone(1006).dial("610")
        later(office, 3.5)
        assert call.was_answered and call.heard.tone(since=office.world.now - 2.0) in NOTES
        later(office, 3.0)
        assert call.heard.hears(four.tone, since=office.world.now - 0.5)
        call.hang_up()
        office.run()
        assert sorted(office.rung) == ["1004", "1005"] and office.ends == [("answered", 200, "VP-4001")]


def test_the_position_is_said(seed: int) -> None:
    with PlanOffice(queue("announce_position = true\nannounce_every_s = 10"), seed=seed) as office:
        agents(office, after=60.0)
        calls = [office.phone(number).dial("610") for number in (1006, 1007)]
        later(office, 0.7)
        line = office.board.desk.queues.line(DOMAIN, office.directory.current.tenant(DOMAIN).plan.queues[0])
        assert [line.position(place) for place in line.waiting] == [1, 2]
        assert all(call.heard.tone() not in NOTES for call in calls), "words come before the music"
        for call in calls:
            call.hang_up()
        office.run()
        assert line.waiting == []


def test_callers_are_served_by_the_time_they_came_and_no_agent_gets_two(seed: int) -> None:
    with PlanOffice(queue('strategy = "longest_idle"'), seed=seed) as office:
        four, five = agents(office)
        calls = [office.phone(number).dial("610", after=0.1 * index) for index, number in enumerate(range(1006, 1011))]
        later(office, 6.0)
        assert [call.heard.tone(since=office.world.now - 0.5) in (four.tone, five.tone) for call in calls] == [
            True, True, False, False, False,
        ]  # fmt: skip
        order = [0, 1]
        for turn in range(2, 5):
            calls[order[turn - 2]].hang_up()
            later(office, 4.0)
            served = [
                index
                for index, call in enumerate(calls)
                if not call.is_over and call.heard.tone(since=office.world.now - 0.5) in (four.tone, five.tone)
            ]
            assert len(four.received) + len(five.received) == turn + 1 and turn in served
            order.append(turn)
        for call in calls:
            if not call.is_over:
                call.hang_up()
        office.run()


def test_a_storm_of_callers_never_gives_an_agent_two_calls(seed: int) -> None:
    with PlanOffice(queue('strategy = "random"'), seed=seed) as office:
        both = agents(office, after=0.3)
        callers = [office.phone(number) for number in range(1006, 1011)]
        calls = [callers[index % 5].dial("610", after=0.05 * index).hangs_up(after=30.0) for index in range(30)]
        most = 0
        for _ in range(300):
            later(office, 0.2)
            most = max(most, *(sum(not call.is_over for call in phone.received) for phone in both))
        office.run()
        assert most == 1 and all(call.is_over for call in calls)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("round_robin", ["1004", "1005", "1004", "1005"]),
        ("longest_idle", ["1004", "1005", "1004", "1005"]),
        ("fewest_calls", ["1004", "1005", "1004", "1005"]),
    ],
)
def test_strategies_ring_in_their_order(seed: int, strategy: str, expected: list[str]) -> None:
    with PlanOffice(queue(f'strategy = "{strategy}"'), seed=seed) as office:
        agents(office)
        caller = office.phone(1006)
        for _ in range(4):
            caller.dial("610").hangs_up(after=4.0)
            office.run()
        assert office.rung == expected


def test_an_agent_in_wrap_up_gets_no_call(seed: int) -> None:
    with PlanOffice(queue("wrap_up_s = 20", '["1004"]'), seed=seed) as office:
        four = office.phone(1004).answers(after=1.0)
        first = office.phone(1006).dial("610").hangs_up(after=4.0)
        later(office, 6.0)
        second = office.phone(1007).dial("610")
        later(office, 14.0)
        assert first.is_over and len(four.received) == 1
        later(office, 8.0)
        assert len(four.received) == 2 and second.heard.hears(four.tone, since=office.world.now - 0.5)
        second.hang_up()
        office.run()


def test_an_agent_who_is_in_a_call_of_his_own_is_not_rung(seed: int) -> None:
    with PlanOffice(queue("", '["1004"]'), seed=seed) as office:
        four = office.phone(1004).answers(after=1.0)
        own = four.dial("*43").hangs_up(after=15.0)
        later(office, 2.0)
        call = office.phone(1006).dial("610")
        later(office, 8.0)
        assert four.received == [] and not own.is_over
        later(office, 10.0)
        assert len(four.received) == 1
        call.hang_up()
        office.run()


def test_an_agent_who_lets_calls_ring_is_paused(seed: int) -> None:
    text = queue('strategy = "round_robin"\nring_s = 5\npause_after = 2\nmax_wait_s = 60', '["1004"]')
    with PlanOffice(text, seed=seed) as office:
        office.phone(1004).rings()
        call = office.phone(1006).dial("610")
        office.run()
        assert office.rung == ["1004", "1004"]
        assert office.state.tenant(DOMAIN).get("1004", "queue.paused") == "on"
        assert call.was_answered and office.ends[-1][2] == "VP-3310"


def test_an_agent_who_is_rung_for_the_last_moment_of_a_wait_has_missed_nothing(seed: int) -> None:
    text = queue('ring_s = 15\npause_after = 1\nmax_wait_s = 10\notherwise = "hangup"', '["1004"]')
    with PlanOffice(text, seed=seed) as office:
        four = office.phone(1004).rings()
        office.phone(1006).dial("610")
        office.run()
        assert len(four.received) == 1
        assert office.state.tenant(DOMAIN).get("1004", "queue.paused") is None


@pytest.mark.parametrize("status", [486, 603])
def test_of_agents_who_ring_together_those_who_let_it_ring_are_paused(seed: int, status: int) -> None:
    with PlanOffice(queue("ring_s = 5\npause_after = 2\nmax_wait_s = 30"), seed=seed) as office:
        office.phone(1004).rings()
        office.phone(1005).refuses(status)
        office.phone(1006).dial("610")
        office.run()
        state = office.state.tenant(DOMAIN)
        assert [state.get(number, "queue.paused") for number in ("1004", "1005")] == ["on", None]


def test_the_longest_wait_leads_to_otherwise(seed: int) -> None:
    with PlanOffice(queue('max_wait_s = 10\notherwise = "1010"'), seed=seed) as office:
        ten = office.phone(1010).answers(after=1.0)
        call = office.phone(1006).dial("610")
        later(office, 9.0)
        assert ten.received == []
        later(office, 4.0)
        assert call.heard.hears(ten.tone, since=office.world.now - 0.5)
        call.hang_up()
        office.run()


def test_a_full_queue_and_one_without_agents_lead_on(seed: int) -> None:
    with PlanOffice(queue('max_callers = 1\notherwise = "1010"'), seed=seed) as office:
        office.phone(1010).answers(after=1.0)
        first, second = office.phone(1006).dial("610"), office.phone(1007).dial("610", after=1.0)
        later(office, 10.0)
        assert office.rung == ["1010"]
        for call in (first, second):
            call.hang_up()
        office.run()
    with PlanOffice(queue('join_empty = false\notherwise = "1010"'), seed=seed) as office:
        office.phone(1010).answers(after=1.0)
        call = office.phone(1006).dial("610").hangs_up(after=3.0)
        office.run()
        assert call.was_answered and office.rung == ["1010"]


def test_of_callers_in_the_same_moment_a_queue_takes_as_many_as_it_may_have(seed: int) -> None:
    with PlanOffice(queue('max_callers = 2\notherwise = "hangup"'), seed=seed) as office:
        callers = [office.phone(number) for number in (1006, 1007, 1008, 1009)]
        # Without an offer the answer is in the ACK: each is still being answered when the next one comes.
        calls = [caller.dial("610", late_offer=True) for caller in callers]
        later(office, 8.0)
        assert [call.is_over for call in calls].count(False) == 2
        left = [each.why for each in office.told if isinstance(each, events.QueueLeft)]
        assert left == ["elsewhere", "elsewhere"]
        for call in calls:
            if not call.is_over:
                call.hang_up()
        office.run()


def test_an_agent_who_refuses_rests_and_is_rung_again(seed: int) -> None:
    with PlanOffice(queue("", '["1004"]'), seed=seed) as office:
        four = office.phone(1004).refuses(486)
        call = office.phone(1006).dial("610")
        later(office, 2 * REST_S + 4.0)
        assert 2 <= len(four.received) <= 3
        call.hang_up()
        office.run()


@pytest.mark.parametrize("at_ms", range(0, 2600, 65))
@pytest.mark.parametrize("who", ["caller", "agent"])
def test_a_hang_up_at_any_moment_leaves_nothing(seed: int, at_ms: int, who: str) -> None:
    """0 leaked tasks, ports, dialogs and places; one end for each leg that began."""
    with PlanOffice(queue("announce_position = true\nwrap_up_s = 1"), seed=seed) as office:
        four, five = agents(office, after=1.0)
        call = office.phone(1006).dial("610")

        def leave() -> None:
            legs = [call] if who == "caller" else [*four.received, *five.received]
            for leg in legs:
                if leg.was_answered and not leg.is_over:
                    leg.hang_up()
                elif leg.is_outgoing and not leg.is_over:
                    leg.give_up()

        office.world.at(office.world.now + at_ms / 1000, leave)
        later(office, 10.0)
        if not call.is_over:
            call.hang_up()
        office.run()
        started = [each.id for each in office.told if isinstance(each, events.CallStarted)]
        ended = [each.id for each in office.told if isinstance(each, events.CallEnded)]
        assert sorted(started) == sorted(ended)
        plan = office.directory.current.tenant(DOMAIN).plan
        assert office.board.desk.queues.line(DOMAIN, plan.queues[0]).waiting == []
        assert not office.board.desk.queues.agent(DOMAIN, "1004").reserved
