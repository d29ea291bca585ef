"""Session timers of each leg, over hours of virtual time (RFC 4028)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest

from sipcore.flow import Address
from sipcore.message import Request
from sipcore.parser import parse_message
from sipcore.transaction import HeaderPairs
from tests.sim.office import Office
from voipat.testing import Phone, PhoneCall
from voipat.testing.call import ChangeMethod

pytestmark = pytest.mark.usefixtures("nothing_left")

INTERVAL_S = 1800
HALF_S = INTERVAL_S / 2
# A refresh sets the timer anew when its answer is here: each comes a round trip later than 900 s after the last.
ROUND_TRIP_S = 0.02
SUPPORTED = ("Supported", "timer")
SERVER = "127.0.0.1"


def asks(refresher: str = "") -> HeaderPairs:
    return (SUPPORTED, ("Session-Expires", f"{INTERVAL_S}{refresher and ';refresher=' + refresher}"))


def grants(refresher: str) -> HeaderPairs:
    return (("Require", "timer"), *asks(refresher)[1:])


@dataclass(frozen=True, slots=True)
class Cell:
    """What the caller's INVITE and the callee's 200 say, and whether the phone refreshes its own leg."""

    caller: HeaderPairs = ()
    callee: HeaderPairs = ()
    caller_refreshes: bool = False
    callee_refreshes: bool = False
    method: ChangeMethod = "INVITE"


CELLS = {
    "nobody knows timers": Cell(),
    "the caller leaves it open": Cell(caller=asks()),
    "the caller does not support them": Cell(caller=asks()[1:]),
    "the caller wants us to refresh": Cell(caller=asks("uas")),
    "the caller refreshes by INVITE": Cell(caller=asks("uac"), caller_refreshes=True),
    "the caller refreshes by UPDATE": Cell(caller=asks("uac"), caller_refreshes=True, method="UPDATE"),
    "the callee wants us to refresh": Cell(callee=grants("uac")),
    "the callee refreshes by INVITE": Cell(callee=grants("uas"), callee_refreshes=True),
    "the callee refreshes by UPDATE": Cell(callee=grants("uas"), callee_refreshes=True, method="UPDATE"),
    "both phones refresh": Cell(asks("uac"), grants("uas"), True, True),
}


@pytest.mark.rfc("4028", "10")
@pytest.mark.rfc(
    "4028", "7.2", "If it does, the UAC MUST look for the Session-Expires header field to process the response."
)
@pytest.mark.rfc(
    "4028",
    "7.4",
    "The values of Supported, Require, and Proxy-Require used in the initial Session refresh request MUST be used.",
)
@pytest.mark.parametrize("name", CELLS)
def test_a_call_of_eight_hours_is_refreshed_on_each_leg(name: str, seed: int) -> None:
    """By whom its two ends agreed on, every half of the interval, and by nobody else; nothing in it changes."""
    cell, hours = CELLS[name], 8 * 3600.0
    with Office(seed=seed) as office:
        # Media that is sparse but never silent for long: the hours are those of signalling.
        office.world.talk = lambda call: 10.0
        alice, bob = office.phones(2)
        bob.answers(after=1.0).on_call(lambda call: setattr(call, "answer_headers", cell.callee))
        call = alice.dial("1002", headers=cell.caller).hangs_up(after=hours)
        office.world.run(until=office.world.now + 2.0)
        answered_at, taken = call.answered_at, bob.received[0]
        assert answered_at is not None
        for each, refreshes in ((call, cell.caller_refreshes), (taken, cell.callee_refreshes)):
            if refreshes:
                refreshes_every(office, each, hours, cell.method)
        office.world.run(until=answered_at + hours + 60.0)
        assert call.ended_by == alice.name and call.unmet == []
        assert office.outcome()[:3] == ("answered", 200, "VP-4001")
        assert_refreshed(office, alice, answered_at, hours, by_phone=cell.caller_refreshes)
        assert_refreshed(office, bob, answered_at, hours, by_phone=cell.callee_refreshes)
        assert office.world.leaks() == []


def refreshes_every(office: Office, call: PhoneCall, seconds: float, method: ChangeMethod) -> None:
    """The phone does its part of the agreement: the UAC of its refresh, and the refresher."""
    for turn in range(1, int(seconds // HALF_S)):
        office.world.at(office.world.now + turn * HALF_S, lambda: call.refresh(method=method, headers=asks("uac")))


def assert_refreshed(office: Office, phone: Phone, answered_at: float, seconds: float, *, by_phone: bool) -> None:
    found = [
        (rung.time, rung.source, message)
        for rung in office.world.network.ladder
        if rung.time > answered_at + 1.0 and phone.address in (rung.source, rung.destination)
        for message in [parse_message(rung.data)]
        if isinstance(message, Request) and message.method in ("INVITE", "UPDATE")
    ]
    refresher = phone.address if by_phone else Address(SERVER, 5060)
    assert {source for _, source, _ in found} == {refresher}
    # One more than 31 would come with the hang-up, or a few round trips after it.
    assert len(found) == seconds // HALF_S - 1
    times = [answered_at, *(time for time, _, _ in found)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(abs(gap - HALF_S) <= 1.0 for gap in gaps), gaps
    assert max(gaps[1:]) <= HALF_S + ROUND_TRIP_S + 0.001
    bodies = {message.body for _, _, message in found}
    assert len(bodies) == 1, "no refresh changes the session"
    assert all("Session-Expires" in message.headers for _, _, message in found)


@pytest.mark.rfc("4028", "10")
def test_a_dead_peer_ends_the_call_and_the_cdr_says_why(seed: int) -> None:
    with Office(seed=seed) as office:
        office.world.talk = lambda call: 10.0
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002")
        office.world.run(until=office.world.now + 10.0)
        # Its media goes on, but no request is answered any more.
        bob.driver._on_event = lambda event: None
        office.world.run(until=office.world.now + 1700.0)
        assert call.ended_at is None
        office.world.run(until=office.world.now + 100.0)
        assert "VP-4012" in call.warning_ids
        assert any("VP-4012" in repr(leg) for leg in office.store.rows.values())


@pytest.mark.rfc("4028", "10")
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_a_phone_that_promised_to_refresh_and_does_not_is_hung_up_before_the_end(side: str, seed: int) -> None:
    """§10: the other side sends BYE min(32 s, a third) before the session's end."""
    with Office(seed=seed) as office:
        office.world.talk = lambda call: 10.0
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        if side == "callee":
            bob.on_call(lambda call: setattr(call, "answer_headers", grants("uas")))
        call = alice.dial("1002", headers=asks("uac") if side == "caller" else asks("uas"))
        office.world.run(until=office.world.now + 2.0)
        answered_at = call.answered_at
        assert answered_at is not None
        office.world.run(until=answered_at + INTERVAL_S - 33.0)
        assert not call.is_over
        office.world.run(until=answered_at + INTERVAL_S - 31.0)
        assert call.is_over and bob.received[0].is_over
        assert "VP-4012" in (call if side == "caller" else bob.received[0]).warning_ids
        office.world.run()
        assert office.world.leaks() == []


@pytest.mark.rfc(
    "4028",
    "9",
    "When sending the 422 response, the UAS MUST include a Min-SE header field with the value of its minimum interval.",
)
def test_a_call_with_too_small_an_interval_gets_422_with_min_se(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, _ = office.phones(2)
        call = alice.dial("1002", headers=(SUPPORTED, ("Session-Expires", "30")))
        office.world.run(until=office.world.now + 5.0)
        assert call.status == 422 and call.responses[-1].headers.get("Min-SE") == "90"
        assert call.warning_ids == ["VP-6011"]


@pytest.mark.rfc(
    "4028",
    "9",
    "When sending the 422 response, the UAS MUST include a Min-SE header field with the value of its minimum interval.",
)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh_with_too_small_an_interval_gets_422_and_the_call_goes_on(method: ChangeMethod, seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002", headers=asks("uac"))
        office.world.run(until=office.world.now + 2.0)
        call.refresh(method=method, headers=(SUPPORTED, ("Session-Expires", "60;refresher=uac")))
        office.world.run(until=office.world.now + 1.0)
        assert call.change_statuses == [422] and not call.is_over
        call.refresh(method=method, headers=asks("uac"))
        office.world.run(until=office.world.now + 1.0)
        call.hang_up()
        office.world.run()
        assert call.change_statuses == [422, 200]
        assert office.world.leaks() == []


def wants_at_least(call: PhoneCall, seconds: int) -> None:
    """The phone refuses an interval that is shorter by 422, and takes a longer one."""
    assert call.request is not None
    asked = int((call.request.headers.get("Session-Expires") or "0").split(";")[0])
    call.answer_headers = (("Require", "timer"), ("Session-Expires", f"{asked};refresher=uac"))
    if asked < seconds:
        call.refuse(422, headers=(("Min-SE", str(seconds)),))


@pytest.mark.rfc("4028", "7.3")
@pytest.mark.parametrize("lowest", [3600, 2000])
def test_a_callee_that_wants_a_longer_interval_is_asked_again(lowest: int, seed: int) -> None:
    """Its 422 names the Min-SE, which our second INVITE has; the interval in force is then at least that."""
    with Office(seed=seed) as office:
        office.world.talk = lambda call: 10.0
        alice, bob = office.phones(2)
        bob.answers(after=1.0).on_call(lambda call: wants_at_least(call, lowest))
        call = alice.dial("1002").hangs_up(after=lowest + 10.0)
        office.world.run(until=office.world.now + lowest + 60.0)
        assert call.was_answered and call.ended_by == "1001"
        invites = [
            message
            for rung in office.world.network.ladder
            if rung.destination == bob.address and rung.kind == "INVITE"
            for message in [parse_message(rung.data)]
        ]
        assert invites[1].headers.get("Min-SE") == str(lowest)
        assert int((invites[1].headers.get("Session-Expires") or "0").split(";")[0]) >= lowest
        # One refresh at half of it, which keeps what the callee wants.
        assert len(invites) == 4 and invites[2].headers.get("Min-SE") == str(lowest)
        assert office.world.leaks() == []
