"""Phones are asked whether they are there: evenly spread, and calls do not wait for those that are not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.sim.office import Office
from voipat import KeepAlivePolicy, Registrar, events

pytestmark = pytest.mark.usefixtures("nothing_left")

EVERY_30_S = KeepAlivePolicy()


def asked(office: Office, since: float = 0.0) -> list[float]:
    """When each OPTIONS left for the first time."""
    sent: dict[bytes, float] = {}
    for rung in office.world.network.ladder:
        if rung.kind == "OPTIONS" and rung.source == office.world.server_address:
            sent.setdefault(rung.data, rung.time)
    return [when for when in sent.values() if when >= since]


def registrar_of(office: Office) -> Registrar:
    assert office.app.registrar is not None
    return office.app.registrar


def told(office: Office) -> list[str]:
    return [type(event).__name__ for event in office.reachability]


def test_every_phone_is_asked_once_in_an_interval_and_never_two_at_once(seed: int) -> None:
    with Office(seed=seed, keepalive=EVERY_30_S) as office:
        office.phones(10)
        office.world.run(until=331.0)
        times = asked(office, since=31.0)
        assert len(times) == pytest.approx(100, abs=2)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert min(gaps) > 2.5 and max(gaps) < 3.5
        assert office.reachability == []


def test_nothing_is_asked_when_it_is_off(seed: int) -> None:
    with Office(seed=seed) as office:
        office.phones(2)
        office.world.run(until=600.0)
        assert asked(office) == []
        assert all(registrar_of(office).is_reachable(binding) is None for binding in registrar_of(office).location)


def test_a_phone_that_vanished_is_unreachable_after_three_questions_and_not_called(seed: int) -> None:
    with Office(seed=seed, keepalive=EVERY_30_S) as office:
        alice, bob = office.phones(2)
        office.world.run(until=60.0)
        bob.vanish()
        office.world.run(until=60.0 + 4 * 30.0 + 5.0)
        (event,) = office.reachability
        assert isinstance(event, events.BindingUnreachable)
        assert (event.tenant, event.aor, event.failures) == ("office.test", "sip:1002@office.test", 3)
        started = office.world.now
        call = alice.dial("1002")
        office.world.run(until=started + 1.0)
        assert call.status == 480 and office.outcome()[:3] == ("failed", 480, "VP-3017")


@pytest.mark.parametrize("how", ["answers", "registers"])
def test_a_phone_that_comes_back_is_called_again(seed: int, how: str) -> None:
    with Office(seed=seed, keepalive=EVERY_30_S) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        office.world.network.cut_off(bob.name)
        office.world.run(until=150.0)
        assert told(office) == ["BindingUnreachable"]
        office.world.network.restore(bob.name)
        if how == "registers":
            bob.register()
            office.world.run(until=150.5)
        else:
            office.world.run(until=185.0)
        assert told(office) == ["BindingUnreachable", "BindingReachable"]
        call = alice.dial("1002").hangs_up(after=1.0)
        office.world.run(until=office.world.now + 10.0)
        assert call.was_answered


def test_the_other_devices_of_the_user_still_ring(seed: int) -> None:
    with Office(seed=seed, keepalive=EVERY_30_S) as office:
        alice = office.phone(1001).register()
        desk, mobile = (office.phone(1002).register() for _ in range(2))
        mobile.answers(after=1.0)
        desk.vanish()
        office.world.run(until=150.0)
        call = alice.dial("1002").hangs_up(after=1.0)
        office.world.run(until=160.0)
        assert call.was_answered and office.cdrs[-1].attempts == 1


def test_a_bad_network_makes_no_phone_unreachable(seed: int) -> None:
    with Office(seed=seed, keepalive=EVERY_30_S, loss=0.2) as office:
        office.phones(5)
        office.world.run(until=3600.0)
        assert office.reachability == []


def test_a_phone_on_a_stream_is_asked_only_behind_a_nat(seed: int) -> None:
    with Office(seed=seed, keepalive=EVERY_30_S) as office:
        office.phone(1001, transport="TCP").register()
        office.world.run(until=100.0)
        assert asked(office) == []
        office.phone(1002, transport="TCP").register(contact="<sip:1002@192.168.1.20:5060;transport=tcp>")
        office.world.run(until=200.0)
        assert len(asked(office)) == 3 and office.reachability == []


def test_a_phone_that_unregistered_or_ran_out_is_asked_no_more(seed: int) -> None:
    with Office(seed=seed, keepalive=EVERY_30_S) as office:
        office.phone(1001).register(expires=60, refresh=False)
        bob = office.phone(1002).register()
        office.world.run(until=45.0)
        bob.unregister()
        office.world.run(until=63.0)
        count = len(asked(office))
        assert count in (3, 4)
        office.world.run(until=200.0)
        assert len(asked(office)) == count and office.reachability == []


def test_crlf_keeps_the_way_open_and_tells_nothing(seed: int) -> None:
    with Office(seed=seed, keepalive=KeepAlivePolicy(method="crlf")) as office:
        _, bob = office.phones(2)
        bob.vanish()
        office.world.run(until=301.0)
        pings = [rung for rung in office.world.network.ladder if rung.data == b"\r\n\r\n"]
        assert len(pings) == pytest.approx(20, abs=1)
        assert asked(office) == [] and office.reachability == []


def test_ten_thousand_phones_that_are_restored_get_no_burst(seed: int) -> None:
    with Office(seed=seed, keepalive=KeepAlivePolicy(method="crlf"), extensions=1) as office:
        office.phone(1001).register()
        office.world.run(until=1.0)
        (binding,) = registrar_of(office).location
        registrar_of(office).stop()
        registrar_of(office).location.restore(
            replace(binding, aor=f"sip:{number}@office.test") for number in range(2000, 12_000)
        )
        registrar_of(office).keep_alive(office.app.exchange, office.world.loop)
        office.world.run(until=31.0)
        times = [rung.time for rung in office.world.network.ladder if rung.data == b"\r\n\r\n"]
        assert len(times) == pytest.approx(10_000, rel=0.05)
        seconds = [sum(second <= when - 1.0 < second + 1.0 for when in times) for second in range(30)]
        assert max(seconds) < 420
