"""Bindings in memory: when they are reported as expired, whatever the phones asked for before."""

from __future__ import annotations

from sipcore.flow import Address, Flow
from voipat.location import Binding, MemoryLocation

FLOW = Flow("UDP", Address("127.0.0.1", 5060), Address("198.51.100.7", 40000))


def binding(user: str, expires_at: float, contact: str = "sip:a@10.0.0.1") -> Binding:
    return Binding("example.com", f"sip:{user}@example.com", contact, FLOW, "one", 1, expires_at)


def saved(location: MemoryLocation, *bindings: Binding) -> None:
    for each in bindings:
        location.update(each.tenant, each.aor, (each,), ())


def test_a_refresh_for_less_time_expires_when_it_says() -> None:
    location = MemoryLocation()
    saved(location, binding("alice", 7200.0), binding("alice", 60.0))
    assert location.next_expiry() == 60.0
    assert location.expire(59.0) == []
    assert location.expire(60.0) == [binding("alice", 60.0)]
    assert len(location) == 0


def test_one_of_two_contacts_that_asks_for_less_is_reported_alone() -> None:
    location = MemoryLocation()
    desk, mobile = binding("alice", 7200.0), binding("alice", 100.0, "sip:a@10.0.0.2")
    saved(location, desk, mobile)
    assert location.expire(100.0) == [mobile]
    assert list(location) == [desk] and location.next_expiry() == 7200.0


def test_what_was_left_by_a_longer_interval_reports_nothing_twice() -> None:
    location = MemoryLocation()
    saved(location, binding("alice", 300.0), binding("alice", 60.0), binding("alice", 500.0))
    assert location.expire(60.0) == [] and location.expire(300.0) == []
    assert location.expire(500.0) == [binding("alice", 500.0)]
    assert location.next_expiry() is None


def test_a_phone_that_asks_for_less_and_less_costs_no_memory() -> None:
    location = MemoryLocation()
    for seconds in range(7200, 60, -1):
        saved(location, binding("alice", float(seconds)))
    assert len(location._expiries) < 100
    assert location.expire(61.0) == [binding("alice", 61.0)]
