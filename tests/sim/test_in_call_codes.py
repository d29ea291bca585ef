"""Codes within a call: transfers by code, from both sides, with every party leaving at every moment."""

from __future__ import annotations

import pytest

from tests.sim.plan_office import PlanOffice
from tests.sim.test_interworked_digits import beep, without_events
from voipat import events
from voipat.testing import PhoneCall

SIDES = ["caller", "callee"]
DIGIT_S = 0.2  # a key and the pause after it


class Three:
    """1001 (may transfer) and 1005 (may not) talk; 1003 is the target. `by`: whether 1001 has called or was called."""

    def __init__(self, office: PlanOffice, by: str) -> None:
        self.office, self.world = office, office.world
        self.one, self.five, self.three = (office.phone(number) for number in (1001, 1005, 1003))
        self.three.answers(after=2.0)
        caller, callee = (self.one, self.five) if by == "caller" else (self.five, self.one)
        callee.answers(after=0.5)
        call = caller.dial(callee.uri.user or "")
        self.wait(6.0)
        sides = call, callee.received[-1]
        self.r, self.e = sides if by == "caller" else (sides[1], sides[0])
        self.assert_talk(self.r, self.e)

    def wait(self, seconds: float) -> None:
        self.world.run(until=self.world.now + seconds)

    def presses(self, digits: str, *, within: float | None = None) -> None:
        self.r.presses(digits)
        self.wait(DIGIT_S * len(digits) + 0.1 if within is None else within)

    def presses_later(self, *presses: tuple[float, str]) -> None:
        """What it presses so many seconds from now, unless it has hung up."""
        for after, digits in presses:
            for place, digit in enumerate(digits):
                self.world.at(self.world.now + after + place * DIGIT_S, lambda digit=digit: self._press(digit))

    def _press(self, digit: str) -> None:
        if not self.r.is_over:
            self.r.presses(digit)

    @property
    def target(self) -> PhoneCall:
        return self.three.received[-1]

    def assert_talk(self, first: PhoneCall, second: PhoneCall) -> None:
        since = self.world.now - 0.5
        assert not first.is_over and not second.is_over
        assert first.heard.hears(second.phone.tone, since=since)
        assert second.heard.hears(first.phone.tone, since=since)

    def end(self, *calls: PhoneCall) -> None:
        for call in calls:
            call.hang_up()
        self.office.run()
        everybody = [self.r, self.e, *self.three.received]
        assert [call.phone.name for call in everybody if not call.is_over] == []


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_blind_transfer_by_code(seed: int, side: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.presses("##")
        call.wait(2.0)
        assert not call.e.heard.hears(call.one.tone, since=call.world.now - 0.5), "music"
        call.presses("1003")
        call.wait(1.0)
        assert not call.r.is_over and not call.target.was_answered
        call.wait(3.0)
        assert call.r.is_over and call.r.warning_ids == ["VP-6007"]
        call.assert_talk(call.e, call.target)
        moved = [each for each in office.told if isinstance(each, events.CallTransferred)]
        assert [(each.transferee, each.target) for each in moved] == [("1005", "1003")]
        call.end(call.target)
    assert call.e.heard.digits == ""


def test_a_blind_transfer_to_who_refuses_leaves_all_as_it_was(seed: int, side: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        office.phone(1006).refuses(486)
        call.presses("##")
        call.wait(2.0)
        call.presses("1006")
        call.wait(5.0)
        call.assert_talk(call.r, call.e)
        call.presses("##")
        call.wait(2.0)
        call.presses("1003")
        call.wait(5.0)
        call.assert_talk(call.e, call.target)
        call.end(call.e)


@pytest.mark.parametrize("digits", ["*", "", "4711"])
def test_no_number_or_a_wrong_one_comes_back(seed: int, side: str, digits: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.presses("##")
        call.presses(digits)
        call.wait(14.0)
        call.assert_talk(call.r, call.e)
        call.end(call.r)


@pytest.mark.parametrize("who", ["transferor", "transferee"])
@pytest.mark.parametrize("after_ms", range(70, 6600, 1000))
def test_a_hang_up_in_the_middle_of_a_blind_transfer(seed: int, side: str, who: str, after_ms: int) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        leaver = call.r if who == "transferor" else call.e
        call.presses_later((0.0, "##"), (1.4, "1003"))
        office.world.at(office.world.now + after_ms / 1000, leaver.hang_up)
        call.wait(8.0)
        assert leaver.is_over
        if who == "transferor" and call.three.received:
            call.assert_talk(call.e, call.target)
            call.end(call.target)
        else:
            call.end()


def test_an_attended_transfer_is_completed_by_hanging_up(seed: int, side: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.presses("*2")
        call.wait(2.0)
        call.presses("1003")
        call.wait(4.0)
        call.assert_talk(call.r, call.target)
        assert not call.e.heard.hears(call.one.tone, since=call.world.now - 0.5)
        call.r.hang_up()
        call.wait(2.0)
        call.assert_talk(call.e, call.target)
        call.end(call.target)
    legs = [each for each in office.told if isinstance(each, events.CallEnded)]
    assert len({leg.linked_id for leg in legs}) == 1 and len(legs) == 3


@pytest.mark.parametrize("how", ["*", "target"])
def test_an_attended_transfer_is_taken_back(seed: int, side: str, how: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        for _ in range(2):
            call.presses("*2")
            call.wait(2.0)
            call.presses("1003")
            call.wait(4.0)
            call.assert_talk(call.r, call.target)
            if how == "*":
                call.presses("*")
            else:
                call.target.hang_up()
            call.wait(2.0)
            assert call.target.is_over
            call.assert_talk(call.r, call.e)
        call.end(call.e)


def test_star_takes_an_attended_transfer_back_that_still_rings(seed: int, side: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.three.rings()
        call.presses("*2")
        call.wait(2.0)
        call.presses("1003")
        call.wait(1.0)
        call.presses("*")
        call.wait(2.0)
        assert call.target.is_over and not call.target.was_answered
        call.assert_talk(call.r, call.e)
        call.end(call.r)


def test_a_transferor_who_leaves_while_it_rings_has_transferred(seed: int, side: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.presses("*2")
        call.wait(2.0)
        call.presses("1003")
        call.wait(1.0)
        call.r.hang_up()
        call.wait(4.0)
        call.assert_talk(call.e, call.target)
        call.end(call.e)


def test_a_transferee_who_leaves_lets_the_others_talk(seed: int, side: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.presses("*2")
        call.wait(2.0)
        call.presses("1003")
        call.wait(4.0)
        call.e.hang_up()
        call.wait(2.0)
        call.assert_talk(call.r, call.target)
        call.end(call.target)


@pytest.mark.parametrize("who", ["transferor", "transferee", "target"])
@pytest.mark.parametrize("after_ms", range(70, 7000, 1000))
def test_a_hang_up_at_any_moment_of_an_attended_transfer(seed: int, side: str, who: str, after_ms: int) -> None:
    """Whoever is left talks with whoever is left; nothing leaks."""
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)

        def leave() -> None:
            if who == "target":
                for each in call.three.received:
                    each.hang_up()
            else:
                (call.r if who == "transferor" else call.e).hang_up()

        call.presses_later((0.0, "*2"), (1.4, "1003"))
        office.world.at(office.world.now + after_ms / 1000, leave)
        call.wait(10.0)
        left = [each for each in (call.r, call.e, *call.three.received) if not each.is_over]
        if who == "transferor" and call.three.received:
            call.assert_talk(call.e, call.target)
        assert len(left) in (0, 2, 3)
        if len(left) == 2:
            call.assert_talk(*left)
        call.end(*left)


@pytest.mark.parametrize("crossing_ms", [0, 5, 10, 15, 20])
def test_two_hang_up_at_the_same_time(seed: int, side: str, crossing_ms: int) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.presses("*2")
        call.wait(2.0)
        call.presses("1003")
        call.wait(4.0)
        call.r.hang_up()
        office.world.at(office.world.now + crossing_ms / 1000, call.target.hang_up)
        call.wait(3.0)
        call.end(call.e)


def test_an_attended_transfer_to_a_park_gives_the_slot(seed: int, side: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.presses("*2")
        call.wait(2.0)
        call.presses("800#")
        call.wait(6.0)
        call.r.hang_up()
        call.wait(3.0)
        back = call.three.dial("801")
        call.wait(2.0)
        call.assert_talk(back, call.e)
        back.hang_up()
        call.end()


def test_a_phone_that_transfers_by_itself_is_refused_meanwhile(seed: int, side: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.presses("*2")
        call.wait(2.0)
        call.e.refer(call.e.phone.uri_of("1003"))
        call.wait(0.5)
        assert call.e.refer_statuses == [491]
        call.end(call.r)


# Keys


def test_who_may_not_transfer_presses_for_the_other_side(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, "caller")
        call.e.presses("##*2")
        call.wait(3.0)
        assert call.r.heard.digits == "##*2"
        call.end(call.r)


@pytest.mark.parametrize(
    ("digits", "passed"), [("5", "5"), ("#5", "#5"), ("*5*", "*5*"), ("12#34*", "12#34*"), ("#", "#"), ("*1", "*1")]
)
def test_what_is_no_code_reaches_the_other_side_complete(seed: int, side: str, digits: str, passed: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.presses(digits, within=DIGIT_S * len(digits) + 2.0)
        assert call.e.heard.digits == passed
        call.assert_talk(call.r, call.e)
        call.end(call.r)


def test_keys_too_far_apart_are_no_code(seed: int, side: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.r.presses("#").waits(0.9).presses("#").waits(0.4).presses("#")
        call.wait(1.9)
        assert call.e.heard.digits == "#"
        assert not call.e.heard.hears(call.one.tone, since=call.world.now - 0.3), "the second and third were the code"
        call.end(call.r)


@pytest.mark.parametrize("kind", ["application/dtmf-relay", "application/dtmf"])
def test_keys_in_infos(seed: int, side: str, kind: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        statuses: list[int] = []

        def press(digit: str) -> None:
            body = digit if kind == "application/dtmf" else f"Signal={digit}\r\nDuration=160\r\n"
            assert call.r.dialog is not None
            call.one.request_in(
                call.r.dialog, "INFO", statuses.append, headers=(("Content-Type", kind),), body=body.encode()
            )
            call.wait(0.3)

        press("#")
        press("7")
        call.wait(1.0)
        assert statuses == [200, 200]
        call.assert_talk(call.r, call.e)
        for digit in "##":
            press(digit)
        call.wait(2.0)
        for digit in "1003":
            press(digit)
        call.wait(5.0)
        call.assert_talk(call.e, call.target)
        call.end(call.e)


def test_keys_heard_as_tones(seed: int) -> None:
    with PlanOffice(seed=seed) as office:
        one = office.phone(1001)
        without_events(one)
        five, three = office.phone(1005), office.phone(1003)
        three.answers(after=1.0)
        one.answers(after=0.5)
        call = five.dial("1001")
        office.world.run(until=office.world.now + 5.0)
        for digit in ("8", "#", "#", "", "1", "0", "0", "3"):
            if digit:
                beep(one.received[0], digit)
            office.world.run(until=office.world.now + (0.4 if digit else 2.0))
        office.world.run(until=office.world.now + 4.0)
        assert one.received[0].is_over and three.received[0].was_answered
        assert call.heard.digits == "8"
        call.hang_up()
        office.run()


@pytest.mark.parametrize("target", ["701", "500", "*43"])
def test_a_blind_transfer_to_a_service(seed: int, side: str, target: str) -> None:
    with PlanOffice(seed=seed) as office:
        call = Three(office, side)
        call.presses("##")
        call.wait(2.0)
        call.presses(f"{target}#" if not target.startswith("*") else "1006#")
        call.wait(5.0)
        assert call.r.is_over == (not target.startswith("*"))
        call.end(call.e)
