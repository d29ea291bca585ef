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
