"""Callers of a queue who press 1, hang up, keep their place and are called back; and who comes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbx import config, programs
from pbx.directory import Directory
from pbx.tenant_state import LiveState
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat.testing import Phone, PhoneCall

OUT = '[[tenant.route]]\nname = "back"\npattern = "+X."\ntrunks = ["carrier"]\n'
TICKET = ("queue/610", "callback.1006")


def office_text(keys: str = "", *, agents: str = '["1004"]', more: str = "") -> str:
    """The example whose queue calls back, with one agent."""
    queue = f"agents = {agents}\ncallback = true\nring_s = 5\n{keys}"
    text = EXAMPLE.replace('agents = ["1004", "1005"]\nannounce_position = true', queue)
    return text.replace("[[tenant.route]]", f"{more}\n[[tenant.route]]", 1)


def later(office: PlanOffice, seconds: float) -> None:
    office.world.run(until=office.world.now + seconds)


def busy_agent(office: PlanOffice) -> tuple[Phone, PhoneCall]:
    """1004 at work, in a call of its own until the test hangs it up."""
    four = office.phone(1004)
    own = four.dial("*43")
    four.answers(after=1.0)
    later(office, 1.0)
    return four, own


def hears(call: PhoneCall, phone: Phone, office: PlanOffice) -> bool:
    return call.heard.hears(phone.tone, since=office.world.now - 0.5)


def asks_for_callback(office: PlanOffice, phone: Phone) -> PhoneCall:
    call = phone.dial("610").presses("1", after=3.0)
    later(office, 12.0)
    assert call.is_over and call.ended_by == "peer", "the promise is said, then the PBX hangs up"
    return call


def test_who_presses_1_is_called_back_when_an_agent_is_free(seed: int) -> None:
    with PlanOffice(office_text(), seed=seed) as office:
        four, own = busy_agent(office)
        six = office.phone(1006).answers(after=1.0).on_call(lambda call: call.presses("1", after=5.0))
        asks_for_callback(office, six)
        assert office.state.tenant(DOMAIN).get(*TICKET) is not None and six.received == []
        own.hang_up()
        later(office, 12.0)
        (back,) = six.received
        assert back.was_answered and hears(back, four, office)
        assert office.state.tenant(DOMAIN).get(*TICKET) is None, "the promise is kept"
        back.hang_up()
        office.run()
        assert sorted(end.callee for end in office.ended if end.leg == "b" and end.disposition == "answered") == [
            "1004", "1006",
        ]  # fmt: skip


def test_a_caller_keeps_the_place_and_those_behind_wait(seed: int) -> None:
    with PlanOffice(office_text(), seed=seed) as office:
        four, own = busy_agent(office)
        six = office.phone(1006).answers(after=1.0).on_call(lambda call: call.presses("1", after=4.0))
        asks_for_callback(office, six)
        second = office.phone(1007).dial("610")
        later(office, 2.0)
        line = office.board.desk.queues.line(DOMAIN, office.directory.current.tenant(DOMAIN).plan.queues[0])
        assert [(place.number, place.call is None) for place in line.waiting] == [("1006", True), ("1007", False)]
        own.hang_up()
        later(office, 4.0)
        # While 1006 is rung, the agent is not kept from the one behind.
        assert hears(second, four, office) and six.received
        second.hang_up()
        later(office, 12.0)
        assert hears(six.received[0], four, office)
        six.received[0].hang_up()
        office.run()
        assert line.waiting == []


def test_who_does_not_press_the_key_takes_no_agent_and_is_tried_again(seed: int) -> None:
    with PlanOffice(office_text("callback_tries = 2\ncallback_retry_s = 30"), seed=seed) as office:
        four, own = busy_agent(office)
        six = office.phone(1006).answers(after=1.0)  # an answering machine
        asks_for_callback(office, six)
        own.hang_up()
        later(office, 40.0)
        assert len(six.received) == 1 and six.received[0].is_over
        later(office, 90.0)
        assert len(six.received) == 2 and four.received == []
        assert office.state.tenant(DOMAIN).get(*TICKET) is None, "given up"
        office.run()


def test_a_callback_ends_with_its_time(seed: int) -> None:
    with PlanOffice(office_text("callback_for_s = 60"), seed=seed) as office:
        _, own = busy_agent(office)
        six = office.phone(1006).answers()
        asks_for_callback(office, six)
        later(office, 60.0)
        assert office.state.tenant(DOMAIN).get(*TICKET) is None
        own.hang_up()
        office.run()
        assert six.received == []


def test_a_promise_outlives_a_restart(seed: int) -> None:
    kept = LiveState()
    with PlanOffice(office_text(), seed=seed, state=kept) as office:
        _, own = busy_agent(office)
        asks_for_callback(office, office.phone(1006).answers())
        kept.tenant(DOMAIN).set("1004", "queue.paused", "on")
        own.hang_up()
        later(office, 40.0)
    kept.tenant(DOMAIN).set("1004", "queue.paused", None)
    before = kept.tenant(DOMAIN).get(*TICKET)
    assert before is not None
    with PlanOffice(office_text(), seed=seed, state=kept) as office:
        four = office.phone(1004).answers(after=1.0)
        six = office.phone(1006).answers(after=1.0).on_call(lambda call: call.presses("1", after=5.0))
        later(office, 16.0)
        assert hears(six.received[0], four, office)
        six.received[0].hang_up()
        office.run()


def test_a_caller_from_outside_is_called_back_through_the_tenants_routes(seed: int) -> None:
    text = office_text(more=OUT).replace('target = "500"', 'target = "610"', 1)
    with PlanOffice(text, seed=seed, outside="+12025550177") as office:
        four, own = busy_agent(office)
        call = office.calls_in("+12025550100")
        office.carrier.answers(after=1.0).on_call(lambda back: back.presses("1", after=5.0))
        call.presses("1", after=3.0)
        later(office, 14.0)
        assert call.is_over
        own.hang_up()
        later(office, 12.0)
        (back,) = office.carrier.received
        assert back.request is not None and back.request.uri.user == "+12025550177"
        assert hears(back, four, office)
        back.hang_up()
        office.run()


@pytest.mark.parametrize("number", ["anonymous", "+12025550177"])
def test_who_cannot_be_called_back_is_not_offered_it(seed: int, number: str) -> None:
    """A caller without a number, and one whom no route of the tenant leads to."""
    text = office_text().replace('target = "500"', 'target = "610"', 1)
    with PlanOffice(text, seed=seed, outside=number) as office:
        busy_agent(office)
        call = office.calls_in("+12025550100")
        call.presses("1", after=3.0)
        later(office, 14.0)
        assert not call.is_over
        for phone in office.world.phones:
            for each in phone.calls:
                each.hang_up()
        office.run()


def test_of_two_callers_the_one_with_priority_comes_first(seed: int) -> None:
    text = office_text().replace(
        'number = "+12025550100"\ntarget = "500"', 'number = "+12025550100"\ntarget = "610"\nqueue_priority = 5'
    )
    with PlanOffice(text, seed=seed) as office:
        four, own = busy_agent(office)
        first = office.phone(1006).dial("610")
        later(office, 2.0)
        vip = office.calls_in("+12025550100")
        later(office, 2.0)
        line = office.board.desk.queues.line(DOMAIN, office.directory.current.tenant(DOMAIN).plan.queues[0])
        assert [place.priority for place in line.waiting] == [5, 0]
        own.hang_up()
        later(office, 4.0)
        assert hears(vip, four, office) and not hears(first, four, office)
        for call in (vip, first):
            call.hang_up()
        office.run()


def test_a_program_says_how_soon_its_caller_comes(seed: int, tmp_path: Path) -> None:
    file = tmp_path / "vip.py"
    file.write_text(
        "async def main(call):\n"
        "    call.variables['queue_priority'] = '7'\n"
        "    await call.transfer('610', how='bridge')\n"
    )
    text = office_text(more=f'[[tenant.program]]\nnumber = "750"\nfile = "{file}"')
    with PlanOffice(text, seed=seed) as office:
        tenants = config.parse(text, environ={}).tenants
        office.directory.swap(Directory(tenants, default_tenant=DOMAIN, programs=programs.load(tenants)))
        busy_agent(office)
        calls = [office.phone(1006).dial("610"), office.phone(1007).dial("750", after=1.0)]
        later(office, 3.0)
        line = office.board.desk.queues.line(DOMAIN, office.directory.current.tenant(DOMAIN).plan.queues[0])
        assert [(place.number, place.priority) for place in line.waiting] == [("1007", 7), ("1006", 0)]
        for phone in office.world.phones:
            for each in phone.calls:
                each.hang_up()
        office.run()
        assert all(call.is_over for call in calls)


@pytest.mark.parametrize("at_ms", range(250, 12_000, 1000))
def test_a_hang_up_at_any_moment_of_a_callback_leaves_nothing(seed: int, at_ms: int) -> None:
    with PlanOffice(office_text("callback_tries = 1"), seed=seed) as office:
        four, own = busy_agent(office)
        six = office.phone(1006).answers(after=1.0)
        asks_for_callback(office, six)
        own.hang_up()
        office.world.at(
            office.world.now + 6.0, lambda: [call.presses("1") for call in six.received if not call.is_over]
        )
        later(office, at_ms / 1000)
        hang_up_all(six, four)
        later(office, 60.0)
        hang_up_all(six, four)
        office.run()
        assert office.state.tenant(DOMAIN).get(*TICKET) is None


def hang_up_all(*phones: Phone) -> None:
    for leg in (leg for phone in phones for leg in phone.received):
        if leg.was_answered and not leg.is_over:
            leg.hang_up()
