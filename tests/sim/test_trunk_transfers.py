"""A call from outside that an extension passes on goes where it sends it, not to the target of the number again."""

from __future__ import annotations

import pytest

from tests.sim.plan_office import EXAMPLE, PlanOffice

FULL = EXAMPLE.replace('caller_id = "+12025550100"\n', 'caller_id = "+12025550100"\nmax_calls = 1\n', 1)


@pytest.mark.parametrize("text", [EXAMPLE, FULL])
def test_a_call_from_a_trunk_is_transferred_to_an_extension(seed: int, text: str) -> None:
    with PlanOffice(text, seed=seed) as office:
        assert (text == FULL) == ("max_calls = 1" in text)
        transferor, target = office.phone(1001).answers(after=1.0), office.phone(1002).answers(after=1.0)
        outside = office.calls_in("+12025550101")
        office.world.run(until=office.world.now + 3.0)
        transferor.calls[0].refer("sip:1002@office.test")
        office.world.run(until=office.world.now + 4.0)
        assert transferor.calls[0].transfer_statuses == [100, 180, 200]
        assert transferor.calls[0].is_over and not outside.is_over
        assert [call.was_answered for call in target.calls] == [True]
        target.calls[0].hang_up()
        office.run()
        assert outside.is_over and office.rung == ["1001", "1002"]


LIMITS = """[tenant.limits]
international = true

[[tenant.class]]
name = "national"
international = false

[tenant.features]"""
ABROAD = "sip:9011442071234567@office.test"


def office_with_a_class(seed: int) -> PlanOffice:
    """1001 may not call abroad; the others may."""
    text = EXAMPLE.replace("[tenant.features]", LIMITS, 1)
    assert 'name = "Reception", ' in text
    return PlanOffice(text.replace('name = "Reception", ', 'class_of_service = "national", ', 1), seed=seed)


@pytest.mark.parametrize(("number", "right"), [("1002", False), ("92025550123", False), ("1002", True)])
def test_who_transfers_needs_the_right_to_call_there(seed: int, number: str, right: bool) -> None:
    """H20: neither the right of the other extension nor that of a leg to a trunk is borrowed."""
    with office_with_a_class(seed) as office:
        office.carrier.answers(after=0.5)
        transferor, other = office.phone(1003 if right else 1001), office.phone(1002).answers(after=0.5)
        call = transferor.dial(number)
        office.world.run(until=office.world.now + 3.0)
        assert call.was_answered
        before = len(office.rung)
        call.refer(ABROAD)
        office.world.run(until=office.world.now + 4.0)
        assert call.transfer_statuses[-1] == (200 if right else 403)
        assert office.rung[before:] == (["+442071234567"] if right else [])
        if right:
            other.calls[0].hang_up()
        else:
            assert not call.is_over, "the two stay joined"
            call.hang_up()
        office.run()
