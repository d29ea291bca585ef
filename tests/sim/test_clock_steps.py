"""The wallclock is set by an hour while phones are registered and talk (F11): only stamps notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbx.persistence import BindingKeeper
from sipcore.flow import Address, Flow
from tests.sim.office import Office
from tests.sim.voicemail_office import VoicemailOffice
from voipat import events
from voipat.location import Binding
from voipat.testing.world import EPOCH

HOUR = 3600.0
# Several refreshes of the session.
TALK_S = 1.5 * HOUR
STEPS = (HOUR, -HOUR, -1.0, 1.0)
BINDINGS = 1000


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("step", STEPS)
def test_a_binding_lasts_as_long_as_it_was_granted_for(seed: int, step: float) -> None:
    with Office(seed=seed) as office:
        office.phone(1001).register(expires=1800)
        gone = office.phone(1002).register(expires=600)
        office.world.run(until=10.0)
        gone.vanish()
        office.world.at(300.0, lambda: office.world.set_clock(step))
        office.world.run(until=595.0)
        lookup = office.app.registrar.lookup if office.app.registrar is not None else None
        assert lookup is not None
        assert [len(lookup("office.test", number)) for number in ("1001", "1002")] == [1, 1]
        office.world.run(until=605.0)
        assert [len(lookup("office.test", number)) for number in ("1001", "1002")] == [1, 0]
        # A refresh after the step and one without it are granted the same.
        office.world.run(until=4 * HOUR)
        assert len(lookup("office.test", "1001")) == 1


@pytest.mark.usefixtures("nothing_left")
def test_of_a_thousand_bindings_none_is_told_unregistered_by_an_hour_on_the_clock(seed: int) -> None:
    office = Office(seed=seed)
    keeper, flow = BindingKeeper(office.store), Flow("UDP", Address("127.0.0.1", 5060), Address("10.9.0.1", 5060))
    for number in range(BINDINGS):
        aor = f"sip:{number}@office.test"
        keeper.binding_saved(Binding("office.test", aor, aor, flow, "c", 1, EPOCH + 600.0))
    with office:
        gone: list[str] = []
        office.app.subscribe(lambda event: gone.append(event.aor) if isinstance(event, events.Unregistered) else None)
        office.world.run(until=300.0)
        office.world.set_clock(HOUR)
        # When it has run out, all are looked at.
        office.phone(1001).register(expires=120, refresh=False)
        office.world.run(until=599.0)
        assert gone == ["sip:1001@office.test"]
        office.world.run(until=620.0)
        assert len(gone) == BINDINGS + 1, "in their time"


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("step", STEPS)
def test_a_call_over_a_step_is_billed_by_the_monotonic_clock(seed: int, step: float) -> None:
    with Office(seed=seed) as office:
        # Media that is sparse but never silent for long: the hours are those of signalling.
        office.world.talk = lambda call: 10.0
        office.phone(1002).register().answers(after=1.0)
        office.world.run(until=1.0)
        call = office.phone(1001).dial("1002")
        office.world.at(1000.0, lambda: office.world.set_clock(step))
        office.world.run(until=TALK_S)
        assert not call.is_over, "no timer of the call is the wallclock's"
        call.hang_up()
        office.world.run()
        (cdr,) = office.cdrs
        assert cdr.answered is not None and cdr.ended is not None
        assert cdr.billable_s == pytest.approx(TALK_S - (cdr.answered - EPOCH), abs=0.5)
        assert cdr.ended == pytest.approx(EPOCH + step + TALK_S, abs=1.0), "stamps are of the clock that was set"


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_message_has_the_time_at_which_it_was_left(tmp_path: Path, step: float) -> None:
    with VoicemailOffice(tmp_path) as office:
        office.leave("1002", 2.0)
        office.world.set_clock(step)
        before = office.world.wallclock()
        office.leave("1002", 2.0)
        first, second = sorted(office.messages("1002"), key=lambda each: abs(each.received - before), reverse=True)
        assert before <= second.received <= office.world.wallclock()
        assert abs(second.received - first.received - step) < 60.0
        assert 1.5 < second.seconds < 3.5
