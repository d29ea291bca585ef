"""H20: the first call of a tenant to a country is told, to programs, in the audit and to the people in the house."""

from __future__ import annotations

import pytest

from tests.sim.plan_office import DOMAIN, EXAMPLE
from tests.sim.test_emergency import Watched
from voipat import events

TEXT = EXAMPLE.replace(
    "[[tenant.times]]",
    '[tenant.limits]\ninternational = true\noutside_calls = 1\nnotify = ["1002"]\n\n[[tenant.times]]',
    1,
)


def told(office: Watched) -> list[tuple[str, str, str, str]]:
    found = (each for each in office.told if isinstance(each, events.CountryCalled))
    return [(each.tenant, each.caller, each.number, each.country) for each in found]


@pytest.fixture
def office(seed: int) -> Watched:
    return Watched(TEXT, seed=seed)


def test_the_first_call_to_a_country_is_told_once(office: Watched) -> None:
    with office:
        office.carrier.answers(after=1.0)
        manager, caller = office.phone(1002), office.phone(1003)
        for number in ("9011493012345678", "9011493087654321", "92025550123"):
            caller.dial(number).hangs_up(after=2.0)
            office.run()
        assert told(office) == [(DOMAIN, "1003", "+493012345678", "49")]
        assert [each.body.decode() for each in manager.messages] == [
            "First call to +49: 1003 calls +493012345678, 2026-01-01 01:00:00"
        ]
        assert [(row.actor, row.action, row.object) for row in office.rows.rows] == [
            ("1003", "new-country-called", "+493012345678")
        ]


def test_an_island_of_the_same_numbering_plan_is_another_country(office: Watched) -> None:
    with office:
        office.carrier.answers(after=1.0)
        office.phone(1003).dial("918765550100").hangs_up(after=2.0)
        office.run()
        assert [(number, country) for _, _, number, country in told(office)] == [("+18765550100", "1876")]


def test_a_call_that_is_refused_is_none(office: Watched) -> None:
    with office:
        office.carrier.answers(after=1.0)
        first = office.phone(1003).dial("92025550123").hangs_up(after=10.0)
        office.world.run(until=office.world.now + 3.0)
        refused = office.phone(1004).dial("9011493012345678")
        office.run()
        assert first.was_answered and refused.warning_ids == ["VP-3306"]
        assert told(office) == []


def test_a_forward_abroad_is_told_with_who_pays(office: Watched) -> None:
    with office:
        office.carrier.answers(after=1.0)
        office.state.tenant(DOMAIN).set("1005", "forward.always", "9011493012345678")
        office.phone(1003).dial("1005").hangs_up(after=3.0)
        office.run()
        assert [(caller, country) for _, caller, _, country in told(office)] == [("1005", "49")]
