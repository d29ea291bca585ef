"""B22: a phone that is busy is one thing, a user who is busy another."""

from __future__ import annotations

from tests.sim.plan_office import EXAMPLE, PlanOffice


def office_with(key: str, seed: int) -> PlanOffice:
    return PlanOffice(EXAMPLE.replace('1006 = "pass-1006"', f'1006 = {{ password = "pass-1006", {key} }}'), seed=seed)


def test_a_second_call_waits_at_the_phone_until_the_user_has_as_many_as_make_it_busy(seed: int) -> None:
    with office_with("busy_level = 2", seed) as office:
        six = office.phone(1006).answers(after=0.2)
        callers = [office.phone(number) for number in (1007, 1008, 1009)]
        calls = [caller.dial("1006", after=1.0 * place).hangs_up(after=8.0) for place, caller in enumerate(callers)]
        office.world.run(until=office.world.now + 5.0)
        assert [call.was_answered for call in calls[:2]] == [True, True], "call waiting"
        assert (calls[2].status, calls[2].warning_ids, len(six.received)) == (486, ["VP-3302"], 2)
        office.run()


def test_a_device_that_says_busy_does_not_make_the_users_other_device_busy(seed: int) -> None:
    with office_with("busy_level = 2", seed) as office:
        office.phone(1006).refuses(486)
        other = office.phone(1006).answers(after=0.5)
        call = office.phone(1007).dial("1006").hangs_up(after=3.0)
        office.run()
        assert call.was_answered and len(other.received) == 1


def test_when_the_user_declines_everywhere_no_device_rings_on(seed: int) -> None:
    """RFC 3261 §21.6: a 6xx of one device is the user's answer."""
    with office_with("busy_level = 2", seed) as office:
        office.phone(1006).refuses(600, after=1.0)
        other = office.phone(1006).rings()
        call = office.phone(1007).dial("1006")
        office.run()
        assert call.status in (486, 600) and other.received[0].is_over
