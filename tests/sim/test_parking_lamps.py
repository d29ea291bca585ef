"""The lamp of a parking slot: on while a call waits in it."""

from __future__ import annotations

import re

import pytest

from tests.sim.plan_office import PlanOffice
from tests.sim.test_parking import later, parked


@pytest.mark.rfc("4235", "4.1")
def test_the_lamp_of_a_slot_is_on_while_a_call_waits_in_it(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        watcher = office.phone(1006)
        assert watcher.subscribe("dialog", "801") == [] and watcher.subscribe("dialog", "899") == []
        later(office, 1.0)
        call = parked(office)
        later(office, 1.0)
        told = [each.body for each in watcher.notified if each.headers.get("Event") == "dialog"]
        assert re.findall(rb"<state>(\w+)</state>", told[-1]) == [b"confirmed"] and b"sip:1007@" in told[-1]
        call.hang_up()
        later(office, 2.0)
        told = [each.body for each in watcher.notified if each.headers.get("Event") == "dialog"]
        assert re.findall(rb"<state>(\w+)</state>", told[-1]) == [b"terminated"]
        # The subscription runs out, and nothing is left of it.
        later(office, 3700.0)
