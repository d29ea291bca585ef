"""The conference rooms of the plan: 700 is open, 701 wants a PIN."""

from __future__ import annotations

import pytest

from tests.sim.plan_office import EXAMPLE, PlanOffice
from voipat import reasons


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


@pytest.mark.parametrize("ends", [True, False])
def test_the_last_moderator_ends_the_room_where_it_is_said_so(seed: int, ends: bool) -> None:
    """B23. The first of two moderators who leaves ends nothing."""
    key = f'moderator_pin = "9999"\nends_with_moderator = {"true" if ends else "false"}'
    with PlanOffice(EXAMPLE.replace('moderator_pin = "9999"', key), seed=seed) as office:
        first, second, guest = (office.phone(number).dial("701") for number in (1001, 1002, 1003))
        first.waits(2.0).presses("9999#").waits(8.0).hangs_up()
        second.waits(2.0).presses("9999#").waits(18.0).hangs_up()
        guest.waits(2.0).presses("1234#").waits(30.0).hangs_up()
        office.world.run(until=office.world.now + 16.0)
        assert first.is_over and not guest.is_over
        office.world.run(until=office.world.now + 10.0)
        assert second.is_over and guest.is_over is ends
        office.run()


def test_a_lock_keeps_guests_out_and_lets_the_moderator_whose_line_broke_in_again(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        guest, late, moderator = (office.phone(number) for number in (1003, 1004, 1001))
        stays = guest.dial("701").waits(2.0).presses("1234#").waits(60.0).hangs_up()
        first = moderator.dial("701").waits(2.0).presses("9999#").waits(6.0).presses("9").waits(1.0).hangs_up()
        office.world.run(until=office.world.now + 16.0)
        assert first.is_over and not stays.is_over
        refused = late.dial("701").waits(2.0).presses("1234#")
        office.world.run(until=office.world.now + 12.0)
        assert refused.is_over and office.ends[-1][2] == reasons.CONFERENCE_LOCKED.id
        again = moderator.dial("701").waits(2.0).presses("9999#").waits(6.0).presses("9").waits(6.0).hangs_up()
        office.world.run(until=office.world.now + 11.0)
        let_in = late.dial("701").waits(2.0).presses("1234#").waits(8.0).hangs_up()
        office.run()
        assert again.ended_by == moderator.name and let_in.ended_by == late.name
