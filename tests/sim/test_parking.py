"""Parking and pickup through the example's plan, by phones as they do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbx import cdr
from pbx.cdr import CdrWriter
from pbx.persistence import CdrListener
from pbx.store.base import CdrFilter
from tests.sim.plan_office import EXAMPLE, PlanOffice
from tests.sim.recording_office import RecordingOffice
from voipat.testing import Phone, PhoneCall

NOTES = (523, 659, 784)


def talking(office: PlanOffice, caller: Phone, callee: Phone) -> tuple[PhoneCall, PhoneCall]:
    callee.answers(after=1.0)
    call = caller.dial(callee.uri.user or "")
    later(office, 3.0)
    assert call.was_answered
    return call, callee.received[-1]


def later(office: PlanOffice, seconds: float) -> None:
    office.world.run(until=office.world.now + seconds)


def hear_each_other(office: PlanOffice, one: PhoneCall, other: PhoneCall) -> bool:
    since = office.world.now - 0.5
    return one.heard.hears(other.phone.tone, since=since) and other.heard.hears(one.phone.tone, since=since)


def parked(office: PlanOffice, number: int = 1007) -> PhoneCall:
    """A call of `number` to 1001, which has parked it."""
    callee = next((each for each in office.world.phones if each.uri.user == "1001"), None) or office.phone(1001)
    call, side = talking(office, office.phone(number), callee)
    side.refer(callee.uri_of("800"))
    later(office, 6.0)
    assert side.transfer_statuses[-1] == 200 and side.is_over
    return call


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_a_call_is_parked_by_blind_transfer_and_taken_back_at_its_slot(seed: int, by: str) -> None:
    with PlanOffice(seed=seed) as office:
        one, six, seven = (office.phone(number) for number in (1001, 1006, 1007))
        call, side = talking(office, seven, one)
        parker, waits = (call, side) if by == "caller" else (side, call)
        before = parker.heard.packets
        parker.refer(parker.phone.uri_of("800"))
        later(office, 1.0)
        assert not parker.is_over and parker.heard.packets > before + 20, "the slot is said to who parks"
        later(office, 5.0)
        assert parker.is_over and parker.transfer_statuses[-1] == 200 and not waits.is_over
        assert waits.heard.tone(since=office.world.now - 2.0) in NOTES
        assert [(each.slot, each.parker) for each in office.board.desk.parking.parked()] == [
            ("801", parker.phone.uri.user)
        ]
        taker = six.dial("801")
        later(office, 2.0)
        assert hear_each_other(office, taker, waits)
        assert office.board.desk.parking.parked() == []
        (taker if by == "caller" else waits).hang_up()
        office.run()
        assert taker.is_over and waits.is_over


def test_two_at_once_get_two_slots(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        one, two = office.phone(1001), office.phone(1002)
        first, side = talking(office, office.phone(1007), one)
        second, other = talking(office, office.phone(1008), two)
        side.refer(one.uri_of("800"))
        other.refer(two.uri_of("800"))
        later(office, 6.0)
        assert {each.slot for each in office.board.desk.parking.parked()} == {"801", "802"}
        first.hang_up()
        later(office, 1.0)
        assert {each.slot for each in office.board.desk.parking.parked("office.test")} == {"802"}
        assert office.board.desk.parking.parked("shop.test") == []
        second.hang_up()
        office.run()


def test_one_slot_dialled_by_two_goes_to_one(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        waits = parked(office)
        takers = [office.phone(number).dial("801") for number in (1005, 1006)]
        later(office, 6.0)
        won, lost = sorted(takers, key=lambda call: call.is_over)
        assert hear_each_other(office, won, waits)
        assert lost.is_over and lost.warning_ids == ["VP-3322"]
        won.hang_up()
        office.run()
        assert waits.is_over


def test_an_empty_slot_is_said_and_the_call_ends(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        call = office.phone(1005).dial("805")
        office.run()
        assert call.was_answered and call.heard.packets > 50 and call.warning_ids == ["VP-3322"]


def test_nobody_takes_it_and_it_goes_back_to_who_parked_it(seed: int) -> None:
    text = EXAMPLE.replace('slots = "801-810"', 'slots = "801-810"\ntimeout_s = 30')
    with PlanOffice(text, seed=seed) as office:
        waits = parked(office)
        later(office, 32.0)
        assert office.rung == ["1001", "1001"]
        one = next(each for each in office.world.phones if each.uri.user == "1001")
        back = one.received[-1]
        assert hear_each_other(office, back, waits)
        back.hang_up()
        office.run()
        assert waits.is_over


@pytest.mark.parametrize("otherwise", ["1002", ""])
@pytest.mark.parametrize("is_gone", [True, False])
def test_when_the_parker_does_not_take_it_back_the_call_goes_on_to_otherwise(
    seed: int, otherwise: str, is_gone: bool
) -> None:
    more = f'\notherwise = "{otherwise}"' if otherwise else ""
    text = EXAMPLE.replace('slots = "801-810"', f'slots = "801-810"\ntimeout_s = 30{more}')
    nobody_has_one = text.replace(', mailbox = { pin = "2468" }', "").replace('"mailbox:', '"')
    with PlanOffice(nobody_has_one, seed=seed) as office:
        two = office.phone(1002).answers(after=1.0)
        waits = parked(office)
        one = next(each for each in office.world.phones if each.uri.user == "1001")
        if is_gone:
            one.register(expires=0)
        else:
            one.refuses(486)
        later(office, 34.0)
        if otherwise:
            assert hear_each_other(office, two.received[-1], waits)
            waits.hang_up()
        office.run()
        assert waits.is_over and len(two.received) == bool(otherwise)


def test_when_every_slot_is_taken_the_call_stays_with_who_wanted_to_park_it(seed: int) -> None:
    text = EXAMPLE.replace('slots = "801-810"', 'slots = "801-801"')
    with PlanOffice(text, seed=seed) as office:
        waits = parked(office)
        call, side = talking(office, office.phone(1008), office.phone(1002))
        side.refer(side.phone.uri_of("800"))
        later(office, 4.0)
        assert side.transfer_statuses[-1] == 486 and hear_each_other(office, side, call)
        for each in (waits, call):
            each.hang_up()
        office.run()


def test_an_attended_transfer_lands_on_the_slot_that_was_said(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        one = office.phone(1001)
        call, side = talking(office, office.phone(1007), one)
        side.hold()
        asks = one.dial("800")
        later(office, 5.0)
        assert [each.slot for each in office.board.desk.parking.parked()] == ["801"]
        side.refer(asks.remote, asks)
        later(office, 6.0)
        assert asks.is_over and side.is_over and not call.is_over
        assert [(each.slot, each.parker) for each in office.board.desk.parking.parked()] == [("801", "1001")]
        call.hang_up()
        office.run()


@pytest.mark.parametrize("at_ms", range(0, 6000, 250))
@pytest.mark.parametrize("who", ["parker", "parked"])
def test_a_hang_up_at_any_moment_of_parking_leaves_nothing(seed: int, at_ms: int, who: str) -> None:
    with PlanOffice(seed=seed) as office:
        one = office.phone(1001)
        call, side = talking(office, office.phone(1007), one)
        side.refer(one.uri_of("800"))
        office.world.at(office.world.now + at_ms / 1000, (side if who == "parker" else call).hang_up)
        later(office, 10.0)
        call.hang_up()
        office.run()
        assert office.board.desk.parking.parked() == [] and call.is_over and side.is_over


@pytest.mark.parametrize("at_ms", range(0, 400, 20))
@pytest.mark.parametrize("who", ["taker", "parked"])
def test_a_hang_up_at_any_moment_of_taking_leaves_nothing(seed: int, at_ms: int, who: str) -> None:
    with PlanOffice(seed=seed) as office:
        waits = parked(office)
        taker = office.phone(1006).dial("801")
        leaves = taker.hang_up if who == "taker" else waits.hang_up
        office.world.at(
            office.world.now + at_ms / 1000,
            lambda: leaves() if who == "parked" or taker.was_answered else taker.give_up(),
        )
        later(office, 5.0)
        for each in (waits, taker):
            if not each.is_over:
                each.hang_up()
        office.run()
        assert office.board.desk.parking.parked() == [] and waits.is_over and taker.is_over


def test_who_takes_a_call_is_a_leg_of_it(seed: int, tmp_path: Path) -> None:
    with RecordingOffice(tmp_path, seed=seed) as office:
        office.app.subscribe(CdrListener(CdrWriter(office.store)), CdrListener.EVENTS)
        waits = parked(office)
        taker = office.phone(1006).dial("801")
        office.world.run(until=office.world.now + 0.01)
        # As the taker's leg began it is on the disk already.
        office.store.flush()
        later(office, 2.0)
        assert hear_each_other(office, taker, waits)
        waits.hang_up()
        office.phone(1002).rings()
        caller = office.phone(1008).dial("1002")
        later(office, 2.0)
        picker = office.phone(1003).dial("*8")
        office.world.run(until=office.world.now + 0.01)
        office.store.flush()
        later(office, 2.0)
        assert hear_each_other(office, caller, picker)
        caller.hang_up()
        office.run()
        office.store.flush()
        picked, parked_ = cdr.calls(office.store, CdrFilter())
        assert (parked_.caller, parked_.callee, parked_.attempts) == ("1007", "1001", 1)
        assert (picked.caller, picked.callee, picked.attempts) == ("1008", "1002", 1)
        for call, who in ((parked_, taker), (picked, picker)):
            assert call.b_leg is not None and call.b_leg.call_id == who.request.call_id
            assert len([leg for leg in cdr.legs(office.store, CdrFilter()) if leg.linked_id == call.id]) == 3


# Pickup


@pytest.mark.parametrize("code", ["*8", "**1002"])
def test_a_call_that_rings_is_picked_up_in_the_group(seed: int, code: str) -> None:
    with PlanOffice(seed=seed) as office:
        two, three = office.phone(1002).rings(), office.phone(1003)
        caller = office.phone(1007).dial("1002")
        later(office, 2.0)
        taker = three.dial(code)
        later(office, 2.0)
        assert hear_each_other(office, caller, taker)
        assert 'SIP;cause=200;text="Call completed elsewhere"' in " ".join(two.received[0].reasons)
        taker.hang_up()
        office.run()
        assert caller.is_over and len(office.ends) == 2


def test_of_two_who_pick_up_at_once_one_wins(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        office.phone(1002).rings()
        caller = office.phone(1007).dial("1002")
        one, three = office.phone(1001), office.phone(1003)
        later(office, 2.0)
        takers = [one.dial("*8"), three.dial("*8")]
        later(office, 6.0)
        won, lost = sorted(takers, key=lambda call: call.is_over)
        assert hear_each_other(office, caller, won) and lost.is_over
        assert lost.status == 486 or lost.warning_ids == ["VP-3323"]
        won.hang_up()
        office.run()


def test_another_group_is_refused_and_another_tenant_knows_no_such_code(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        office.phone(1002).rings()
        caller = office.phone(1007).dial("1002")
        later(office, 2.0)
        refused = [office.phone(1006).dial(code) for code in ("*8", "**1002")]
        foreign = office.phone(1001, "shop.test").dial("**1002")
        later(office, 2.0)
        assert [(call.status, call.warning_ids) for call in refused] == [(403, ["VP-3324"])] * 2
        assert foreign.status == 404 and not caller.was_answered
        caller.give_up()
        office.run()


def test_when_nothing_rings_that_is_said(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        call = office.phone(1003).dial("*8")
        office.run()
        assert call.was_answered and call.warning_ids == ["VP-3323"]


@pytest.mark.parametrize("at_ms", range(0, 300, 20))
@pytest.mark.parametrize("who", ["caller", "taker"])
def test_a_hang_up_at_any_moment_of_a_pickup_leaves_nothing(seed: int, at_ms: int, who: str) -> None:
    with PlanOffice(seed=seed) as office:
        office.phone(1002).rings()
        caller = office.phone(1007).dial("1002")
        later(office, 2.0)
        taker = office.phone(1003).dial("*8")
        leaver = caller if who == "caller" else taker
        office.world.at(
            office.world.now + at_ms / 1000, lambda: leaver.hang_up() if leaver.was_answered else leaver.give_up()
        )
        later(office, 5.0)
        for each in (caller, taker):
            if not each.is_over:
                each.hang_up() if each.was_answered else each.give_up()
        office.run()
        assert caller.is_over and taker.is_over
