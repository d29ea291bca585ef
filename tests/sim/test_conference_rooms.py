"""The conference rooms of the plan: 700 is open, 701 wants a PIN."""

from __future__ import annotations

import pytest

from tests.sim.plan_office import PlanOffice


def test_two_who_dial_the_open_room_hear_each_other(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        one, two = office.phone(1001), office.phone(1002)
        first = one.dial("700").waits(12.0).hears(two.tone).hangs_up(after=3.0)
        second = two.dial("700", after=1.0).waits(11.0).hears(one.tone).hangs_up(after=3.0)
        office.run()
        assert first.was_answered and second.was_answered
        assert first.unmet == [] and second.unmet == []


def test_who_knows_the_pin_comes_in(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        call = office.phone(1001).dial("701").waits(2.0).presses("1234#").waits(6.0).hangs_up(after=1.0)
        office.run()
        assert call.was_answered
        assert [end[0] for end in office.ends] == ["answered"]


@pytest.mark.parametrize("keys", ["1111#", "#"])
def test_three_wrong_pins_are_the_end(seed: int, keys: str) -> None:
    with PlanOffice(seed=seed) as office:
        phone = office.phone(1001)
        call = phone.dial("701")
        for _ in range(3):
            call = call.waits(8.0).presses(keys)
        office.run()
        assert call.was_answered and call.ended_by != phone.name
        assert [end[2] for end in office.ends] == ["VP-3312"]
