"""CANCEL, glare, BYE, PRACK and REFER crossings: every order of what can happen, on both sides of the server.

`make test` tries some orders of each race, drawn by the seed, a message lost now and then; and, of two phones, all in
which the messages of one way stay in their order, as TCP holds it. `make soak` tries those of the transfers too, each
state of the world once; where messages of one way overtake each other, as in UDP they may, all orders of two phones,
and of a transfer, which has a hundred thousand of them, all in which one message at the most is overtaken by a later
one, whenever somebody leaves, and the first thousands of the others. `make races` says what it found in the transfers.
Whatever the order, no call hangs, nothing is left, and both ends of a leg know the same session.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import pytest

from tests.sim.interleavings import Deed, Scenario, all_but_cdrs, everything, explore
from tests.sim.office import Office
from voipat import Call
from voipat.testing import Phone, PhoneCall

pytestmark = pytest.mark.usefixtures("nothing_left")

Race = Generator[Sequence[Deed], None, None]
TO_SETTLE_S = 10.0
# Few enough orders for a run each way.
SMALL = ("CANCEL × 100",)
MOST_ORDERS = 3000


def deed(call: PhoneCall, name: str, do: Callable[[], object]) -> Deed:
    return Deed(call.phone.name, name, do)


def talking(office: Office, count: int = 2) -> tuple[list[Phone], PhoneCall, PhoneCall]:
    """Phones of which the first two talk."""
    phones = office.phones(count)
    phones[1].answers(after=0.0)
    call = phones[0].dial("1002")
    office.world.run(until=office.world.now + 2.0)
    assert call.was_answered
    return phones, call, phones[1].received[0]


def ringing(office: Office, *, headers: Sequence[tuple[str, str]] = ()) -> tuple[PhoneCall, PhoneCall]:
    """A call that rings: the caller's side and the callee's."""
    alice, bob = office.phones(2)
    bob.rings()
    call = alice.dial("1002", headers=headers)
    office.world.run(until=office.world.now + 1.0)
    return call, bob.received[0]


def everybody_goes(office: Office) -> None:
    """What is still up after the race is the same at both ends of each leg, and is hung up."""
    office.world.run(until=office.world.now + TO_SETTLE_S)
    calls = [call for phone in office.world.phones for call in phone.calls if not call.is_over]
    for call in calls:
        assert_agreed(office, call)
    for call in calls:
        call.hang_up()
    office.world.run(limit=120.0)
    assert all(call.is_over for phone in office.world.phones for call in phone.calls)


def assert_agreed(office: Office, call: PhoneCall) -> None:
    """Phone and server know the same session: who sends to whom."""
    assert call.request is not None
    leg = leg_of(office, call.request.call_id)
    if call.audio is None or leg is None or leg.media is None or leg.media.negotiated is None:
        assert not call.was_answered, f"{call.phone.name} talks to nobody"
        return
    mine, theirs = call.audio.direction, leg.media.negotiated.direction
    assert mine is theirs.reversed, f"{call.phone.name} is {mine.value}, its leg is {theirs.value}"


def leg_of(office: Office, call_id: str) -> Call | None:
    known = [each for call in office.app.calls for each in (call, *call.attempts)]
    return next((each for each in known if each.call_id == call_id), None)


# CANCEL


def cancel_and_answer(office: Office) -> Race:
    call, taken = ringing(office)
    yield [deed(call, "gives up", call.give_up), deed(taken, "answers", taken.answer)]
    everybody_goes(office)
    assert office.outcome()[0] in ("answered", "cancelled")


def cancel_and_busy(office: Office) -> Race:
    call, taken = ringing(office)
    yield [deed(call, "gives up", call.give_up), deed(taken, "refuses", lambda: taken.refuse(486))]
    everybody_goes(office)
    assert call.status in (486, 487) and office.outcome()[0] in ("busy", "cancelled")


def cancel_before_it_rings(office: Office) -> Race:
    """The CANCEL follows the INVITE at its heels."""
    alice, bob = office.phones(2)
    calls: list[PhoneCall] = []
    yield [
        Deed(alice.name, "dials", lambda: calls.append(alice.dial("1002"))),
        Deed(alice.name, "gives up", lambda: calls[0].give_up()),
    ]
    everybody_goes(office)
    assert calls[0].status == 487 and office.outcome()[0] == "cancelled"
    assert all(each.is_over for each in bob.received)


def two_devices_answer(office: Office) -> Race:
    """Both phones of one user take the call; one of them has it, and the other knows that it has not."""
    (alice,) = office.phones(1)
    desk, mobile = (office.phone(1002).register() for _ in range(2))
    office.world.run(until=office.world.now + 1.0)
    for phone in (desk, mobile):
        phone.rings()
    call = alice.dial("1002")
    office.world.run(until=office.world.now + 1.0)
    taken = [desk.received[0], mobile.received[0]]
    yield [deed(each, "answers", each.answer) for each in taken]
    office.world.run(until=office.world.now + TO_SETTLE_S)
    assert call.was_answered
    assert sum(not each.is_over for each in taken) == 1
    everybody_goes(office)


# Glare


def changes_at_once(first: str, second: str) -> Scenario:
    """Both hold at once; whoever meets a glare tries again, and in the end both hold."""

    def race(office: Office) -> Race:
        _, call, taken = talking(office)
        yield [
            deed(call, f"holds by {first}", lambda: call.hold(method=first)),  # type: ignore[arg-type]  # one of two
            deed(taken, f"holds by {second}", lambda: taken.hold("inactive", method=second)),  # type: ignore[arg-type]
        ]
        office.world.run(until=office.world.now + TO_SETTLE_S)
        for each in (call, taken):
            assert set(each.change_statuses) <= {200, 491, 500}, each.change_statuses
            assert each.change_statuses[-1] == 200, each.change_statuses
        everybody_goes(office)

    return race


def two_changes_of_one(office: Office) -> Race:
    """One side holds by UPDATE and at once resumes by re-INVITE."""
    _, call, taken = talking(office)
    yield [
        deed(call, "holds by UPDATE", lambda: call.hold(method="UPDATE")),
        deed(call, "resumes by INVITE", call.resume),
    ]
    office.world.run(until=office.world.now + TO_SETTLE_S)
    assert set(call.change_statuses) <= {200, 491, 500}
    assert not taken.is_over
    everybody_goes(office)


def early_update_and_answer(office: Office) -> Race:
    """The caller changes an offer that has no answer yet, while the callee answers (RFC 3311 §5.2)."""
    call, taken = ringing(office)

    def update() -> None:
        tag = call.responses[-1].to.tag
        dialog = next(iter(call.phone.endpoint._state.dialogs._by_id.values()), None)
        if dialog is not None and tag and not call.is_over:
            call.phone.request_in(dialog.id, "UPDATE", call.change_statuses.append)

    yield [deed(call, "sends UPDATE", update), deed(taken, "answers", taken.answer)]
    assert set(call.change_statuses) <= {200, 491, 500}
    everybody_goes(office)
    assert office.outcome()[0] == "answered"


# BYE


def both_hang_up(office: Office) -> Race:
    _, call, taken = talking(office)
    yield [deed(call, "hangs up", call.hang_up), deed(taken, "hangs up", taken.hang_up)]
    everybody_goes(office)
    assert office.outcome()[:3] == ("answered", 200, "VP-4001")


def bye_and_change(leaver: int, method: str) -> Scenario:
    """One hangs up while the other changes the session."""

    def race(office: Office) -> Race:
        _, *calls = talking(office)
        stays, leaves = calls[1 - leaver], calls[leaver]
        yield [
            deed(leaves, "hangs up", leaves.hang_up),
            deed(stays, f"holds by {method}", lambda: stays.hold(method=method)),  # type: ignore[arg-type]  # one of two
        ]
        office.world.run(until=office.world.now + TO_SETTLE_S)
        assert set(stays.change_statuses) <= {200, 481, 487, 488, 491}, stays.change_statuses
        everybody_goes(office)
        # Who has hung up may refuse our re-INVITE before its BYE is here.
        assert office.outcome()[:3] in (("answered", 200, "VP-4001"), ("answered", 481, "VP-4009"))

    return race


def hold_and_hang_up(office: Office) -> Race:
    """One side holds and hangs up without waiting for the answer."""
    _, call, taken = talking(office)
    yield [deed(call, "holds", call.hold), deed(call, "hangs up", call.hang_up)]
    everybody_goes(office)
    assert taken.is_over and office.outcome()[:3] == ("answered", 200, "VP-4001")


def bye_after_answer(office: Office) -> Race:
    """The callee hangs up at once: its BYE waits for the ACK (RFC 3261 §15)."""
    call, taken = ringing(office)
    yield [deed(taken, "answers", taken.answer), deed(taken, "hangs up", taken.hang_up)]
    everybody_goes(office)
    assert call.was_answered and office.outcome()[0] == "answered"


def bye_in_the_early_dialog(office: Office) -> Race:
    """The caller ends a call that rings by BYE (RFC 3261 §15), while the callee answers it."""
    call, taken = ringing(office)

    def bye() -> None:
        dialog = next(iter(call.phone.endpoint._state.dialogs._by_id.values()), None)
        if dialog is not None and not call.is_over:
            call._cancelled = True
            call.phone._execute(lambda now: call.phone.endpoint.bye(dialog.id, now))

    yield [deed(call, "sends BYE", bye), deed(taken, "answers", taken.answer)]
    everybody_goes(office)
    assert office.outcome()[0] in ("answered", "cancelled")


# PRACK


def prack_and(what: str) -> Scenario:
    """The caller requires reliable responses: PRACK crosses the answer, or the CANCEL."""

    def race(office: Office) -> Race:
        alice, bob = office.phones(2)
        bob.manners = bob.manners.__class__(ring_after=None)
        call = alice.dial("1002", headers=(("Require", "100rel"),))
        office.world.run(until=office.world.now + 1.0)
        taken = bob.received[0]
        deeds = [deed(taken, "rings", taken.ring)]
        if what == "answer":
            deeds.append(deed(taken, "answers", taken.answer))
        else:
            deeds.append(deed(call, "gives up", call.give_up))
        yield deeds
        everybody_goes(office)
        assert office.outcome()[0] == ("answered" if what == "answer" else "cancelled")

    return race


def reliable_callee_and(what: str) -> Scenario:
    """The callee sends a reliable 183 with its answer: our PRACK crosses its 200, or our CANCEL its 183."""

    def race(office: Office) -> Race:
        alice, bob = office.phones(2)
        bob.manners = bob.manners.__class__(ring_after=None)
        call = alice.dial("1002")
        office.world.run(until=office.world.now + 1.0)
        taken = bob.received[0]

        def progress() -> None:
            if taken.is_over:
                return
            body, invite = taken._maybe_answer_sdp(), taken._invite
            assert body is not None and invite is not None
            headers = (("Content-Type", "application/sdp"),)
            bob._execute(lambda now: bob.endpoint.respond(invite, 183, now, headers=headers, body=body, reliable=True))

        deeds = [deed(taken, "sends a reliable 183", progress)]
        if what == "answer":
            deeds.append(deed(taken, "answers", taken.answer))
        else:
            deeds.append(deed(call, "gives up", call.give_up))
        yield deeds
        everybody_goes(office)
        assert office.outcome()[0] == ("answered" if what == "answer" else "cancelled")

    return race


# REFER


def blind_transfer_and(what: str) -> Scenario:
    """The caller sends the callee to a third phone, while somebody hangs up or holds."""

    def race(office: Office) -> Race:
        (_, _, carol), call, taken = talking(office, 3)
        carol.answers(after=0.0)
        target = call.phone.uri_of("1003")
        deeds = [deed(call, "transfers", lambda: call.refer(target))]
        if what == "transferor hangs up":
            deeds.append(deed(call, "hangs up", call.hang_up))
        elif what == "transferee hangs up":
            deeds.append(deed(taken, "hangs up", taken.hang_up))
        else:
            deeds.append(deed(taken, "holds", taken.hold))
        yield deeds
        assert set(call.refer_statuses) <= {200, 202, 408, 481, 491, 603}, call.refer_statuses
        everybody_goes(office)

    return race


def attended_transfer_and(who: str) -> Scenario:
    """A consultation is joined with the first call, while one of the three hangs up."""

    def race(office: Office) -> Race:
        (alice, _, carol), call, taken = talking(office, 3)
        carol.answers(after=0.0)
        second = alice.dial("1003")
        office.world.run(until=office.world.now + 2.0)
        assert second.was_answered
        leaver = {"transferor": call, "transferee": taken, "target": carol.received[0]}[who]
        yield [
            deed(call, "transfers", lambda: call.refer(second.remote, second)),
            deed(leaver, "hangs up", leaver.hang_up),
        ]
        everybody_goes(office)

    return race


def ringing_transfer_and(what: str) -> Scenario:
    """A consultation that rings is joined (semi-attended), while its target answers or refuses."""

    def race(office: Office) -> Race:
        (alice, _, carol), call, _ = talking(office, 3)
        carol.rings()
        second = alice.dial("1003")
        office.world.run(until=office.world.now + 1.0)
        target = carol.received[0]
        act = target.answer if what == "answers" else lambda: target.refuse(486)
        yield [
            deed(call, "transfers", lambda: call.refer(second.remote, second)),
            deed(target, what, act),
        ]
        everybody_goes(office)

    return race


RACES: dict[str, Scenario] = {
    "CANCEL × 200": cancel_and_answer,
    "CANCEL × 486": cancel_and_busy,
    "CANCEL × 100": cancel_before_it_rings,
    "200 × 200 of a fork": two_devices_answer,
    "re-INVITE × re-INVITE": changes_at_once("INVITE", "INVITE"),
    "UPDATE × UPDATE": changes_at_once("UPDATE", "UPDATE"),
    "UPDATE × re-INVITE": changes_at_once("UPDATE", "INVITE"),
    "re-INVITE × UPDATE": changes_at_once("INVITE", "UPDATE"),
    "UPDATE, then re-INVITE": two_changes_of_one,
    "early UPDATE × 200": early_update_and_answer,
    "BYE × BYE": both_hang_up,
    "BYE of the caller × re-INVITE": bye_and_change(0, "INVITE"),
    "BYE of the callee × re-INVITE": bye_and_change(1, "INVITE"),
    "BYE of the caller × UPDATE": bye_and_change(0, "UPDATE"),
    "BYE of the callee × UPDATE": bye_and_change(1, "UPDATE"),
    "re-INVITE, then BYE": hold_and_hang_up,
    "200, then BYE × ACK": bye_after_answer,
    "early BYE × 200": bye_in_the_early_dialog,
    "PRACK × 200": prack_and("answer"),
    "PRACK × CANCEL": prack_and("cancel"),
    "our PRACK × 200": reliable_callee_and("answer"),
    "our PRACK × CANCEL": reliable_callee_and("cancel"),
    "REFER × BYE of the transferor": blind_transfer_and("transferor hangs up"),
    "REFER × BYE of the transferee": blind_transfer_and("transferee hangs up"),
    "REFER × re-INVITE of the transferee": blind_transfer_and("transferee holds"),
    "REFER with Replaces × BYE of the transferor": attended_transfer_and("transferor"),
    "REFER with Replaces × BYE of the transferee": attended_transfer_and("transferee"),
    "REFER with Replaces × BYE of the target": attended_transfer_and("target"),
    "REFER while ringing × 200": ringing_transfer_and("answers"),
    "REFER while ringing × 486": ringing_transfer_and("refuses"),
}


# Three parties and two calls: more orders than an hour has time for.
TRANSFERS = [name for name in RACES if name.startswith("REFER")]


def silent_office(seed: int) -> Callable[[], Office]:
    def make() -> Office:
        office = Office(seed=seed)
        office.world.talk = lambda call: 0.0
        return office

    return make


@pytest.mark.parametrize("race", RACES)
def test_a_race_ends_well_in_orders_drawn_by_the_seed(race: str, seed: int) -> None:
    explored = explore(RACES[race], silent_office(seed), losses=1, drawn=15, seed=seed)
    assert explored.orders == 15


@pytest.mark.slow
@pytest.mark.parametrize("race", RACES)
def test_a_race_ends_well_in_every_order(race: str, seed: int, soak: bool) -> None:
    explored = explore(RACES[race], silent_office(seed), most=MOST_ORDERS if soak else 5)
    assert explored.orders > 1
    assert not soak or race in TRANSFERS or explored.orders < MOST_ORDERS, "these are all"


@pytest.mark.parametrize("race", [name for name in RACES if name not in TRANSFERS])
def test_a_race_ends_well_in_every_order_that_keeps_that_of_each_way(race: str, seed: int) -> None:
    each_order = explore(RACES[race], silent_office(seed), reordering=False)
    each_state = explore(RACES[race], silent_office(seed), reordering=False, merging=everything)
    assert 1 <= each_state.orders <= each_order.orders
    assert each_state.outcomes == each_order.outcomes


@pytest.mark.slow
@pytest.mark.parametrize("race", TRANSFERS)
def test_a_transfer_ends_well_in_every_order_that_keeps_that_of_each_way(race: str, seed: int, soak: bool) -> None:
    most = None if soak else 1
    explored = explore(RACES[race], silent_office(seed), reordering=False, merging=all_but_cdrs, most=most)
    assert explored.states > explored.orders > 0


@pytest.mark.slow
@pytest.mark.parametrize("race", TRANSFERS)
def test_a_transfer_ends_well_whichever_message_is_overtaken(race: str, seed: int, soak: bool) -> None:
    explored = explore(RACES[race], silent_office(seed), overtakings=1, most=None if soak else 3)
    assert explored.orders > (100 if soak else 1)


@pytest.mark.slow
@pytest.mark.parametrize("race", [name for name in RACES if name not in TRANSFERS])
def test_each_state_once_shows_every_end_that_each_order_shows(race: str, seed: int, soak: bool) -> None:
    """What `make races` leaves out of the transfers' orders, it leaves out for nothing."""
    if race not in SMALL and not soak:
        pytest.skip("a minute or more: --soak")
    each_order = explore(RACES[race], silent_office(seed))
    each_state = explore(RACES[race], silent_office(seed), merging=everything)
    assert each_state.orders <= each_order.orders
    assert each_state.outcomes == each_order.outcomes


@pytest.mark.slow
@pytest.mark.parametrize("race", TRANSFERS)
def test_a_transfer_ends_well_in_the_first_states(race: str, seed: int, soak: bool) -> None:
    explored = explore(RACES[race], silent_office(seed), merging=all_but_cdrs, most=50 if soak else 1)
    assert explored.states > explored.orders > 0
