"""Why a call ends, told to the other leg and in the CDR: Reason in requests (RFC 3326), in responses (RFC 6432)."""

from __future__ import annotations

import pytest

from sipcore.reason import causes_of
from tests.sim.office import Office
from tests.sim.trunk_office import TrunkOffice, trunk
from voipat.testing import PhoneCall

pytestmark = pytest.mark.usefixtures("nothing_left")


def gives_up(call: PhoneCall, reason: str) -> None:
    """CANCEL with a Reason, as a proxy sends it that has forked the call."""
    invite, call._cancelled = call._invite, True
    assert invite is not None
    call.phone._execute(lambda now: call.phone.endpoint.cancel(invite, now, headers=(("Reason", reason),)))


def hangs_up(call: PhoneCall, reason: str) -> None:
    dialog = call.dialog
    assert dialog is not None
    call.phone._execute(lambda now: call.phone.endpoint.bye(dialog, now, headers=(("Reason", reason),)))
    call._end(call.phone.name)


@pytest.mark.rfc(
    "3326",
    "2",
    "A SIP message MAY contain more than one Reason value (i.e., multiple Reason lines), but all of them MUST have "
    "different protocol values (e.g., one SIP and another Q.850).",
)
def test_the_losers_of_a_fork_are_told_twice_once_in_each_protocol(seed: int) -> None:
    with Office(seed=seed) as office:
        (alice,) = office.phones(1)
        desk, mobile = (office.phone(1002).register() for _ in range(2))
        office.world.run(until=office.world.now + 1.0)
        desk.rings()
        mobile.answers(after=1.0)
        alice.dial("1002").hangs_up(after=1.0)
        office.world.run()
        reasons = desk.received[0].reasons
        assert [reason.partition(";")[0] for reason in reasons] == ["SIP", "Q.850"]
        assert 'cause=200;text="Call completed elsewhere"' in reasons[0] and "cause=26" in reasons[1]


def test_a_caller_whose_call_was_taken_elsewhere_leaves_no_missed_call(seed: int) -> None:
    """Who forked the call to us says so in its CANCEL; every phone that rang here hears it too."""
    with Office(seed=seed) as office:
        (alice,) = office.phones(1)
        devices = [office.phone(1002).register().rings() for _ in range(2)]
        office.world.run(until=office.world.now + 1.0)
        call = alice.dial("1002")
        office.world.run(until=office.world.now + 1.0)
        gives_up(call, 'SIP;cause=200;text="Call completed elsewhere"')
        office.world.run()
        for device in devices:
            assert "SIP;cause=200" in device.received[0].reasons[0]
        assert call.status == 487
        assert office.outcome() == ("cancelled", 487, "VP-4002", "caller")


@pytest.mark.parametrize(("given", "passed", "id_"), [(38, 38, "VP-4035"), (31, 16, "VP-4001"), (16, 16, "VP-4001")])
def test_the_cause_of_a_bye_reaches_the_other_leg_and_the_cdr(given: int, passed: int, id_: str, seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002")
        office.world.run(until=office.world.now + 3.0)
        hangs_up(bob.received[0], f'Q.850;cause={given};text="network"')
        office.world.run()
        assert f"Q.850;cause={passed}" in call.reasons[0]
        cdr = office.cdrs[-1]
        assert (cdr.disposition, cdr.cause.sip, cdr.cause.q850, cdr.cause.id) == ("answered", 200, passed, id_)


@pytest.mark.rfc("6432", "4")
@pytest.mark.parametrize(("status", "told", "cause"), [(486, 486, 17), (603, 603, 21), (404, 480, 16)])
def test_a_refusal_has_the_cause_of_q850(status: int, told: int, cause: int, seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.refuses(status)
        call = alice.dial("1002")
        office.world.run()
        found = causes_of(call.responses[-1])
        assert set(found) == {"Q.850"} and found["Q.850"] == office.cdrs[-1].cause.q850
        if status != 404:
            assert (call.status, found["Q.850"]) == (told, cause)


@pytest.mark.rfc("6432", "4")
@pytest.mark.parametrize(
    ("status", "cause", "told", "tries"),
    [(503, 17, 486, 1), (503, 1, 404, 1), (500, 34, 503, 2), (480, 28, 484, 1), (503, None, 503, 2)],
)
def test_a_gateway_says_what_its_network_said(status: int, cause: int | None, told: int, tries: int, seed: int) -> None:
    """A busy callee behind a 503 is busy, and no other trunk is tried for it."""
    with TrunkOffice([trunk("one", priority=1), trunk("two", priority=2)], seed=seed) as office:
        for carrier in office.carriers.values():
            carrier.on_call(
                lambda call: call.refuse(status, headers=() if cause is None else (("Reason", f"Q.850;cause={cause}"),))
            )
        call = office.phone().register().dial("9123456")
        office.world.run()
        assert call.status == told
        assert sum(len(carrier.received) for carrier in office.carriers.values()) == tries
