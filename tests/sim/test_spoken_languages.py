"""What is said is in the language of whose phone it is, else of the tenant."""

from __future__ import annotations

import pytest

from tests.sim.plan_office import EXAMPLE, PlanOffice

TEXT = EXAMPLE.replace('1006 = "pass-1006"', '1006 = { password = "pass-1006", language = "fr" }', 1).replace(
    'language = "en"', 'language = "de-AT"', 1
)


@pytest.mark.parametrize(("number", "language"), [(1006, "fr"), (1007, "de")])
@pytest.mark.parametrize("target", ["610", "700", "**1002", "600"])
def test_callers_are_spoken_to_in_their_language(number: int, language: str, target: str) -> None:
    with PlanOffice(TEXT) as office:
        call = office.phone(number).dial(target)
        office.world.run(until=office.world.now + 0.3)
        assert {each.prompts.language for each in office.app.calls if each.direction == "inbound"} <= {language}
        assert target in ("**1002", "600") or office.app.calls
        call.hang_up() if call.was_answered else call.give_up()
        office.run()


def test_who_parks_a_call_hears_the_slot_in_his_language() -> None:
    with PlanOffice(TEXT) as office:
        caller, parker = office.phone(1007), office.phone(1006)
        parker.answers(after=1.0)
        call = caller.dial("1006")
        office.world.run(until=office.world.now + 3.0)
        parker.received[-1].refer(parker.uri_of("800"))
        office.world.run(until=office.world.now + 0.5)
        side = office.app.calls[0].transferor
        assert side is not None and side.prompts.language == "fr"
        call.hang_up()
        office.run()


def test_a_language_without_rules_is_said_in_english() -> None:
    with PlanOffice(TEXT.replace('"de-AT"', '"xx"', 1)) as office:
        call = office.phone(1007).dial("610")
        office.world.run(until=office.world.now + 0.3)
        assert [each.prompts.language for each in office.app.calls] == ["en"]
        call.hang_up()
        office.run()
