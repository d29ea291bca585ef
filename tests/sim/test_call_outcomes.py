"""How calls end that come to nothing: the status and reason id that the caller sees, the CDR, and nothing left over."""

from __future__ import annotations

import pytest

from tests.sim.office import DOMAIN, Office

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_wrong_password_is_401_with_a_reason_and_leaves_no_cdr(seed: int) -> None:
    with Office(seed=seed) as office:
        alice = office.phone(1001, password="wrong")
        call = alice.dial("1002")
        office.world.run()
        assert (call.statuses, call.warning_ids) == ([401], ["VP-1001"])
        assert office.cdrs == []
        assert [refused.reason for refused in office.refused] == ["VP-1002"]
        assert office.world.leaks() == []


def test_an_unknown_user_looks_like_a_wrong_password(seed: int) -> None:
    def refusals(number: int) -> tuple[list[int], list[str], list[str]]:
        with Office(seed=seed) as office:
            call = office.phone(number, password="wrong").dial("1002")
            office.world.run()
            assert (office.cdrs, office.world.leaks()) == ([], [])
            shape = [[name for name, _ in response.headers.items()] for response in call.responses]
            return call.statuses, call.warning_ids, [",".join(names) for names in shape]

    assert refusals(1001) == refusals(4711)


def test_the_log_tells_an_unknown_user_from_a_wrong_password(seed: int) -> None:
    with Office(seed=seed) as office:
        office.phone(4711, password="wrong").dial("1002")
        office.world.run()
        assert [refused.reason for refused in office.refused] == ["VP-1003"]


def test_a_registration_with_a_wrong_password_binds_nothing(seed: int) -> None:
    with Office(seed=seed) as office:
        intruder = office.phone(1002, password="wrong").register()
        alice = office.phone(1001)
        call = alice.dial("1002", after=1.0)
        office.world.run()
        assert intruder.registration_statuses == [401, 401] and not intruder.is_registered
        assert call.status == 480


def test_a_caller_who_never_registered_calls_with_credentials(seed: int) -> None:
    """Registration is about being called; who may call is a matter of the password."""
    with Office(seed=seed) as office:
        office.phone(1002).register().answers()
        call = office.phone(1001).dial("1002", after=1.0).hangs_up(after=2.0)
        office.world.run()
        assert call.was_answered and office.outcome()[0] == "answered"
        assert office.world.leaks() == []


def test_a_caller_without_credentials_is_challenged_and_leaves_nothing(seed: int) -> None:
    with Office(seed=seed) as office:
        office.phone(1002).register().answers()
        stranger = office.world.phone(f"sip:1001@{DOMAIN}", password="")
        call = stranger.dial("1002", after=1.0)
        office.world.run()
        assert (call.statuses, call.warning_ids) == ([401], ["VP-1001"])
        assert (office.cdrs, office.world.leaks()) == ([], [])


def test_a_stranger_from_another_domain_is_refused(seed: int) -> None:
    with Office(seed=seed) as office:
        call = office.world.phone("sip:mallory@elsewhere.test").dial(f"sip:1002@{DOMAIN}")
        office.world.run()
        assert (call.statuses, call.warning_ids) == ([403], ["VP-1006"])
        assert (office.cdrs, office.world.leaks()) == ([], [])


@pytest.mark.parametrize("number", ["4711", "alice", "*99"])
def test_an_unknown_callee_is_404(seed: int, number: str) -> None:
    with Office(seed=seed) as office:
        call = office.phone(1001).dial(number)
        office.world.run()
        assert (call.status, call.warning_ids[-1]) == (404, "VP-3001")
        assert office.outcome() == ("failed", 404, "VP-3001", "server")
        assert office.world.leaks() == []


def test_a_callee_who_is_not_registered_is_480(seed: int) -> None:
    with Office(seed=seed) as office:
        call = office.phone(1001).dial("1002")
        office.world.run()
        assert (call.status, call.warning_ids[-1]) == (480, "VP-3002")
        assert office.outcome() == ("failed", 480, "VP-3002", "server")
        assert office.world.leaks() == []


def test_a_busy_callee_is_486(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.refuses(486, after=1.0)
        call = alice.dial("1002")
        office.world.run()
        assert (call.statuses[-2:], call.warning_ids[-1]) == ([180, 486], "VP-3004")
        assert office.outcome() == ("busy", 486, "VP-3004", "callee")
        assert office.world.leaks() == []


def test_a_callee_who_declines_is_603(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.refuses(603, after=1.0)
        call = alice.dial("1002")
        office.world.run()
        assert (call.status, office.outcome()) == (603, ("failed", 603, "VP-3005", "callee"))
        assert office.world.leaks() == []


def test_no_answer_is_480_when_the_ring_time_is_over(seed: int) -> None:
    with Office(seed=seed, ring_s=20.0) as office:
        alice, bob = office.phones(2)
        bob.rings()
        call = alice.dial("1002")
        office.world.run()
        assert (call.status, call.warning_ids[-1]) == (480, "VP-3003")
        disposition, status, reason, _ = office.outcome()
        assert (disposition, status, reason) == ("no_answer", 480, "VP-3003")
        assert office.cdrs[-1].duration_s == pytest.approx(20.0, abs=0.1)
        assert bob.received[0].ended_by == "peer" and bob.received[0].warning_ids == ["VP-3003"]
        assert office.world.leaks() == []


def test_a_caller_who_gives_up_is_487_and_the_callee_stops_ringing(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.rings()
        call = alice.dial("1002").cancels(after=4.0)
        office.world.run()
        assert (call.status, bob.received[0].ended_by) == (487, "peer")
        disposition, status, _, by = office.outcome()
        assert (disposition, status, by) == ("cancelled", 487, "caller")
        assert office.world.leaks() == []


def test_a_callee_who_unregisters_while_ringing_can_still_answer(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=4.0)
        call = alice.dial("1002").hangs_up(after=3.0)
        office.world.at(office.world.now + 2.0, bob.unregister)
        office.world.run()
        assert call.was_answered and office.outcome()[0] == "answered"
        assert alice.dial("1002").hangs_up() is not None
        office.world.run()
        assert office.outcome()[:3] == ("failed", 480, "VP-3002")
        assert office.world.leaks() == []


def test_a_callee_who_vanishes_while_ringing_is_no_answer(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.vanishes(after=2.0)
        call = alice.dial("1002")
        office.world.run()
        assert (call.status, office.outcome()[:3]) == (480, ("no_answer", 480, "VP-3003"))
        assert office.world.leaks() == []


def test_a_phone_that_does_not_react_at_all_is_unreachable(seed: int) -> None:
    with Office(seed=seed, ring_s=60.0) as office:
        alice, bob = office.phones(2)
        bob.ignores()
        call = alice.dial("1002")
        office.world.run()
        assert (call.status, office.outcome()[:3]) == (480, ("failed", 480, "VP-3006"))
        assert office.world.leaks() == []


@pytest.mark.rfc(
    "3261",
    "19.1.4",
    'Characters other than those in the "reserved" set … are equivalent to their ""%" HEX HEX" encoding.',
)
def test_a_number_with_escapes_is_that_number(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("sip:%310%302@office.test").hangs_up(after=1.0)
        echo = alice.dial("sip:%2A43@office.test", after=5.0).hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and echo.was_answered
        assert [cdr.callee for cdr in office.cdrs] == ["1002", "*43"]
