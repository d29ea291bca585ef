"""Session timers of each leg, over hours of virtual time (RFC 4028)."""

from __future__ import annotations

import pytest

from tests.sim.office import Office

CELLS = {
    "no timer": (),
    "UAC leaves it open": (("Supported", "timer"), ("Session-Expires", "1800")),
    "UAC does not support it": (("Session-Expires", "1800"),),
    "UAC wants us to refresh": (("Supported", "timer"), ("Session-Expires", "1800;refresher=uas")),
}


@pytest.mark.rfc("4028", "10")
@pytest.mark.parametrize("cell", CELLS)
def test_a_call_is_refreshed_on_each_leg(cell: str, seed: int) -> None:
    _hold_a_call(2000.0, cell, seed)


@pytest.mark.slow
@pytest.mark.rfc("4028", "10")
@pytest.mark.parametrize("cell", CELLS)
def test_a_call_of_eight_hours_is_refreshed_on_each_leg(cell: str, seed: int, soak: bool) -> None:
    # Its media takes minutes to simulate; `make test` holds the same cells for 2000 s.
    if not soak:
        pytest.skip("minutes of work: `make soak` runs it")
    _hold_a_call(8 * 3600.0, cell, seed)


def _hold_a_call(seconds: float, cell: str, seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002", headers=CELLS[cell]).hangs_up(after=seconds)
        office.world.run(until=seconds + 60.0)
        assert call.ended_by == alice.name and call.unmet == []
        assert office.outcome()[:3] == ("answered", 200, "VP-4001")
        methods = [event.data for event in office.world.network.ladder if event.data.startswith((b"INVITE", b"UPDATE"))]
        # Every 900 s and a round trip on both legs, and the three INVITEs of the set-up (challenge, call, leg b).
        assert len(methods) == pytest.approx(2 * (seconds // 900) + 3, abs=1 if seconds < 3600 else 2)
        described = {_origin(data) for data in methods if b"\r\n\r\nv=0" in data}
        assert len(described) <= 3, "no refresh changes o="
        assert office.world.leaks() == []


@pytest.mark.rfc("4028", "10")
def test_a_dead_peer_ends_the_call_and_the_cdr_says_why(seed: int) -> None:
    with Office(seed=seed) as office:
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


@pytest.mark.rfc(
    "4028",
    "9",
    "When sending the 422 response, the UAS MUST include a Min-SE header field with the value of its minimum interval.",
)
def test_a_call_with_too_small_an_interval_gets_422_with_min_se(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, _ = office.phones(2)
        call = alice.dial("1002", headers=(("Supported", "timer"), ("Session-Expires", "30")))
        office.world.run(until=office.world.now + 5.0)
        assert call.status == 422 and call.responses[-1].headers.get("Min-SE") == "90"
        assert call.warning_ids == ["VP-6011"]


def _origin(data: bytes) -> bytes:
    return next(line for line in data.split(b"\r\n") if line.startswith(b"o="))
