"""The lamp of an override code: on while hours are turned over by hand, whoever did it, out at its end."""

from __future__ import annotations

import re

import pytest

from pbx.control import ControlError
from pbx.objects_shown import set_state, show_row
from pbx.tenant_state import LiveState
from tests.sim.plan_office import DOMAIN, EXAMPLE, PlanOffice
from voipat.testing import Phone

TEXT = EXAMPLE.replace('name = "office"\n', 'name = "office"\noverride_code = "*28"\noverride_s = 3600\n', 1)
TIMES = f"{DOMAIN}/times/office"


def later(office: PlanOffice, seconds: float) -> None:
    office.world.run(until=office.world.now + seconds)


def lamp(watcher: Phone) -> list[bytes]:
    """The state of each dialog at the code, as the watcher was told last."""
    told = [each.body for each in watcher.notified if each.headers.get("Event") == "dialog"]
    return re.findall(rb"<state>(\w+)</state>", told[-1])


def override(office: PlanOffice, value: str | None) -> object:
    tenants = list(office.directory.current.tenants.values())
    return set_state(tenants, office.state, TIMES, "override", value)["override"]


@pytest.mark.rfc("4235", "4.1")
def test_the_lamp_is_on_while_hours_are_turned_over_by_the_code(seed: int) -> None:
    with PlanOffice(TEXT, seed=seed) as office:
        watcher = office.phone(1006)
        watcher.subscribe("dialog", "*28")
        later(office, 1.0)
        assert lamp(watcher) == []
        presser = office.phone(1007)
        for expected in (b"confirmed", b"terminated"):
            presser.dial("*28")
            later(office, 3.0)
            assert lamp(watcher) == [expected]
        later(office, 3700.0)


def test_the_lamp_goes_out_when_the_override_ends(seed: int) -> None:
    with PlanOffice(TEXT, seed=seed) as office:
        watcher = office.phone(1006)
        watcher.subscribe("dialog", "*28", expires=7000)
        office.phone(1007).dial("*28")
        later(office, 3500.0)
        assert lamp(watcher) == [b"confirmed"]
        later(office, 110.0)
        assert lamp(watcher) == [b"terminated"]
        later(office, 3600.0)


def test_the_operator_turns_them_over_until_a_moment(seed: int) -> None:
    with PlanOffice(TEXT, seed=seed) as office:
        watcher = office.phone(1006)
        watcher.subscribe("dialog", "*28")
        # The world begins at midnight UTC, one o'clock in Berlin.
        assert override(office, "closed until 2026-01-01 01:30") == "closed until 2026-01-01 01:30"
        shown = show_row(list(office.directory.current.tenants.values()), office.state, TIMES)
        assert shown["override"] == "closed until 2026-01-01 01:30"
        later(office, 1790.0)
        assert lamp(watcher) == [b"confirmed"]
        later(office, 20.0)
        assert lamp(watcher) == [b"terminated"]
        assert override(office, "open") == "open" and override(office, None) is None
        for wrong in ("shut", "closed until noon", "closed until 2026-01-01T01:30+01:00"):
            with pytest.raises(ControlError, match="closed until 2026-12-24 18:00"):
                override(office, wrong)
        later(office, 3700.0)


def test_the_lamp_is_on_again_after_a_restart(seed: int) -> None:
    state = LiveState()
    state.tenant(DOMAIN).set("times/office", "override", "closed")
    with PlanOffice(TEXT, seed=seed, state=state) as office:
        watcher = office.phone(1006)
        watcher.subscribe("dialog", "*28")
        later(office, 1.0)
        assert lamp(watcher) == [b"confirmed"]
        watcher.subscribe("dialog", "*29")
        later(office, 3700.0)
