"""Two calls that have become one are one for all that comes after: recordings, further legs, CDRs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbx.cdr import CdrWriter
from pbx.persistence import CdrListener
from pbx.store.base import CdrFilter
from tests.sim.plan_office import EXAMPLE
from tests.sim.recording_office import RecordingOffice
from voipat.testing import PhoneCall


def taken_by_pickup(office: RecordingOffice) -> PhoneCall:
    """1001 takes the call of 1009 that rings at 1002."""
    taker = office.phone(1001)
    office.phone(1002).rings()
    office.phone(1009).dial("1002")
    later(office, 1.0)
    return taker.dial("**1002")


def taken_from_park(office: RecordingOffice) -> PhoneCall:
    """1001 takes 1009, whom 1006 has parked."""
    taker, parker = office.phone(1001), office.phone(1006).answers(after=0.2)
    office.phone(1009).dial("1006")
    later(office, 1.0)
    parker.received[0].transfers("800")
    later(office, 6.0)
    return taker.dial("801")


def taken_over(office: RecordingOffice) -> PhoneCall:
    """1006 asks 1001, then leaves its caller 1009 to it."""
    taker, middle = office.phone(1001).answers(after=0.2), office.phone(1006).answers(after=0.2)
    office.phone(1009).dial("1006")
    later(office, 1.0)
    asked = middle.dial("1001")
    later(office, 1.0)
    middle.received[0].transfers_to(asked)
    later(office, 1.0)
    return taker.received[0]


def later(office: RecordingOffice, seconds: float) -> None:
    office.world.run(until=office.world.now + seconds)


@pytest.mark.parametrize("join", [taken_by_pickup, taken_from_park, taken_over])
def test_a_recording_begun_after_it_is_of_the_one_call(seed: int, tmp_path: Path, join: object) -> None:
    assert callable(join)
    with RecordingOffice(tmp_path, EXAMPLE, seed=seed) as office:
        office.app.subscribe(CdrListener(CdrWriter(office.store)))
        taker = join(office)
        later(office, 2.0)
        taker.presses("*1")
        later(office, 6.0)
        taker.hang_up()
        office.run()
        (recording,) = office.rows()
        assert recording.owner == "1001"
        legs = [leg for call in office.store.tenant("office.test").calls(CdrFilter()) for leg in call]
        first = next(leg for leg in legs if leg.caller == "1009" and leg.leg == "a")
        assert {leg.linked_id for leg in legs if leg.answered is not None} >= {first.id}
        assert recording.linked_id == first.linked_id == first.id
        assert next(leg for leg in legs if leg.id == recording.leg).linked_id == first.id
