"""Calls that nobody dialled: `app.call(A, B)` rings A, and leads A on to B as if A had dialled."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat import CallOutcome, NoAnswer, Origination, Rejected, events


def limited(text: str) -> str:
    return EXAMPLE.replace("[tenant.features]", f"[tenant.limits]\n{text}\n[tenant.features]", 1)


def place(office: PlanOffice, caller: str, target: str, *, timeout: float = 20.0) -> Origination:
    return office.app.call(caller, target, tenant=DOMAIN, timeout=timeout)


def how(found: Origination) -> object:
    """What who waits for it gets."""

    async def wait() -> object:
        try:
            return await found
        except CallOutcome as outcome:
            return outcome

    return _now(wait())


def _now(waiting: Coroutine[Any, Any, object]) -> object:
    try:
        waiting.send(None)
    except StopIteration as done:
        return done.value
    waiting.close()
    raise AssertionError("it is not decided yet")


def first_leg(office: PlanOffice) -> events.CallEnded:
    return [each for each in office.told if isinstance(each, events.CallEnded) and each.leg == "a"][-1]


def test_both_talk_and_the_cdr_is_that_of_one_call(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        six, seven = office.phone(1006), office.phone(1007)
        six.answers(after=1.0)
        seven.answers(after=2.0)
        found = place(office, "1006", "1007")
        office.world.run(until=office.world.now + 0.5)
        assert [call.id for call in office.app.calls] == [found.id] and not seven.received
        assert six.received[0].request is not None and six.received[0].request.from_.uri.user == "1007"
        office.world.run(until=office.world.now + 5.0)
        call = how(found)
        assert not isinstance(call, CallOutcome) and call is not None
        since = office.world.now - 0.5
        assert six.received[0].heard.hears(seven.tone, since=since)
        assert seven.received[0].heard.hears(six.tone, since=since)
        assert seven.received[0].request is not None and seven.received[0].request.from_.uri.user == "1006"
        assert office.board.admission.calls == 1, "one place for one call"
        seven.received[0].hang_up()
        office.run()
        end = first_leg(office)
        assert (end.caller, end.callee, end.disposition, end.id) == ("1006", "1007", "answered", found.id)
        assert end.answered is not None and 2.0 < end.answered - end.started < 4.0, "when the two were joined"
        legs = [each for each in office.told if isinstance(each, events.CallEnded)]
        assert {leg.linked_id for leg in legs} == {found.id} and len(legs) == 3


@pytest.mark.parametrize("who", [0, 1])
def test_whoever_hangs_up_the_other_one_is_hung_up_too(seed: int, who: int) -> None:
    with PlanOffice(seed=seed) as office:
        phones = [office.phone(number).answers(after=1.0) for number in (1006, 1007)]
        place(office, "1006", "1007")
        office.world.run(until=office.world.now + 5.0)
        phones[who].received[0].hang_up()
        office.world.run(until=office.world.now + 1.0)
        assert [phone.received[0].is_over for phone in phones] == [True, True]
        office.run()


def test_a_service_is_called_too(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        office.phone(1006).answers(after=0.5)
        found = place(office, "1006", "*43")
        office.world.run(until=office.world.now + 3.0)
        (call,) = office.world.phones[1].received
        assert call.heard.hears(call.phone.tone)
        call.hang_up()
        office.run()
        assert isinstance(how(found), object) and office.board.admission.calls == 0


@pytest.mark.parametrize(
    ("caller", "target", "why"),
    [
        ("1006", "4711", "VP-3001"),
        ("4711", "1006", "VP-3001"),
        ("1006", "1009", "VP-3002"),
        ("1010", "1006", "VP-3002"),
    ],
)
def test_what_cannot_be_called_says_why(seed: int, caller: str, target: str, why: str) -> None:
    with PlanOffice(seed=seed) as office:
        six = office.phone(1006)
        six.answers(after=0.5)
        found = place(office, caller, target)
        office.run()
        end = first_leg(office)
        assert end.cause.id == why and end.answered is None
        rang_first = target == "1009"
        assert bool(six.received) == rang_first, "an unknown number is refused before anybody's phone rings"
        outcome = how(found)
        assert rang_first or (isinstance(outcome, Rejected) and outcome.reason.id == why)


def test_nobody_answers(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        six = office.phone(1006).rings()
        found = place(office, "1006", "1007", timeout=5.0)
        office.run()
        assert isinstance(how(found), NoAnswer) and six.received[0].is_over
        assert first_leg(office).disposition == "no_answer"


@pytest.mark.parametrize("after_ms", range(0, 5000, 400))
def test_it_is_cancelled_at_any_moment(seed: int, after_ms: int) -> None:
    with PlanOffice(seed=seed) as office:
        six, seven = office.phone(1006), office.phone(1007)
        six.answers(after=1.0)
        seven.answers(after=2.0)
        found = place(office, "1006", "1007")
        office.world.at(office.world.now + after_ms / 1000, found.hang_up)
        office.run()
        assert all(call.is_over for phone in (six, seven) for call in phone.received)
        assert not office.app.calls


@pytest.mark.parametrize("who", ["first", "second"])
@pytest.mark.parametrize("after_ms", range(200, 5000, 600))
def test_either_phone_hangs_up_at_any_moment(seed: int, who: str, after_ms: int) -> None:
    with PlanOffice(seed=seed) as office:
        six, seven = office.phone(1006), office.phone(1007)
        six.answers(after=1.0)
        seven.answers(after=2.0)
        place(office, "1006", "1007")
        leaver = six if who == "first" else seven

        def leave() -> None:
            for call in leaver.received:
                call.hang_up()

        office.world.at(office.world.now + after_ms / 1000, leave)
        office.world.run(until=office.world.now + 8.0)
        for call in (*six.received, *seven.received):
            call.hang_up()
        office.run()
        assert not office.app.calls and office.board.admission.calls == 0


def test_who_stops_waiting_has_hung_up(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        six = office.phone(1006).rings()
        found = place(office, "1006", "1007")
        office.world.run(until=office.world.now + 1.0)

        async def wait() -> None:
            await found

        waiting = office.world.loop.create_task(wait())
        office.world.run(until=office.world.now + 0.1)
        waiting.cancel()
        office.run()
        assert waiting.cancelled()
        assert six.received[0].is_over and not office.app.calls


def test_a_limit_holds_before_a_phone_rings(seed: int) -> None:
    with PlanOffice(limited("max_calls = 3"), seed=seed) as office:
        phones = [office.phone(number) for number in (1006, 1007, 1008, 1009, 1010)]
        for phone in phones:
            phone.answers(after=0.5)
        for number in ("1006", "1007", "1008", "1009", "1010"):
            place(office, number, "*43")
        office.world.run(until=office.world.now + 3.0)
        assert [len(phone.received) for phone in phones] == [1, 1, 1, 0, 0]
        assert office.board.admission.calls == 3
        for call in office.app.calls:
            office.app.find_call(call.id)
        for phone in phones[:3]:
            phone.received[0].hang_up()
        office.run()
        refused = [each.cause.id for each in office.told if isinstance(each, events.CallEnded) and not each.answered]
        assert refused == ["VP-3006", "VP-3006"] or len(refused) == 2


@pytest.mark.parametrize("by", ["first", "second"])
def test_it_is_transferred_as_any_other_call(seed: int, by: str) -> None:
    with PlanOffice(seed=seed) as office:
        six, seven, eight = (office.phone(number) for number in (1006, 1007, 1008))
        for phone in (six, seven, eight):
            phone.answers(after=0.5)
        place(office, "1006", "1007")
        office.world.run(until=office.world.now + 4.0)
        transferor, other = (six, seven) if by == "first" else (seven, six)
        transferor.received[0].refer(transferor.uri_of("1008"))
        office.world.run(until=office.world.now + 4.0)
        assert transferor.received[0].is_over and not other.received[0].is_over
        since = office.world.now - 0.5
        assert other.received[0].heard.hears(eight.tone, since=since)
        eight.received[0].hang_up()
        office.run()
        assert other.received[0].is_over and not office.app.calls and office.board.admission.calls == 0


def test_another_tenant_is_none(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        office.phone(1001, "shop.test").answers(after=0.5)
        found = office.app.call("1001", "1002", tenant="nowhere.test")
        office.run()
        assert isinstance(how(found), Rejected)
