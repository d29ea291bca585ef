"""Registrations over hours: refreshed in spite of loss, forgotten in time, one binding for one phone."""

from __future__ import annotations

import pytest

from tests.sim.office import Office

pytestmark = pytest.mark.usefixtures("nothing_left")


def bindings(office: Office, number: int) -> int:
    assert office.app.registrar is not None
    return len(office.app.registrar.lookup("office.test", str(number)))


def test_a_phone_stays_registered_for_a_day_on_a_bad_network(seed: int) -> None:
    with Office(seed=seed, loss=0.1) as office:
        bob = office.phone(1002).register(expires=1800)
        for hour in range(1, 25):
            office.world.run(until=hour * 3600.0)
            assert bindings(office, 1002) == 1 and bob.is_registered


def test_a_phone_that_vanished_is_forgotten_when_its_time_is_over(seed: int) -> None:
    with Office(seed=seed) as office:
        bob = office.phone(1002).register(expires=600)
        office.world.run(until=10.0)
        bob.vanish()
        office.world.run(until=590.0)
        assert bindings(office, 1002) == 1
        office.world.run(until=605.0)
        assert bindings(office, 1002) == 0
        call = office.phone(1001).dial("1002")
        office.world.run()
        assert (call.status, office.outcome()[2]) == (480, "VP-3002")


def test_unregistering_removes_one_device_or_all(seed: int) -> None:
    with Office(seed=seed) as office:
        desk, mobile, laptop = (office.phone(1002).register() for _ in range(3))
        office.world.run(until=1.0)
        assert bindings(office, 1002) == 3
        desk.unregister()
        office.world.run(until=2.0)
        assert bindings(office, 1002) == 2
        mobile.unregister(everything=True)
        office.world.run(until=3.0)
        assert bindings(office, 1002) == 0
        assert laptop.registration_statuses == [401, 200]


def test_a_nonce_that_is_too_old_costs_one_round_trip_and_no_failure(seed: int) -> None:
    with Office(seed=seed) as office:
        alice = office.phone(1001).register()
        office.world.run(until=1000.0)
        call = alice.dial("*43").hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and office.refused == []
        challenge = next(rung.data for rung in office.world.network.ladder if rung.kind == "401 INVITE")
        assert b"stale=true" in challenge
