"""What descriptors and media ports allow, and what is said about it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from pbx.limits import (
    derive_capacity,
    open_descriptors,
    raise_descriptor_limit,
    receive_buffer_warning,
    resident_kb,
)


@pytest.mark.parametrize(
    ("low", "high", "calls"),
    [
        (20000, 29999, 2500),
        (20000, 20003, 1),
        (20000, 20002, 0),
        (20001, 20004, 0),
        (20001, 20005, 1),
        (20000, 20019, 5),
    ],
)
def test_a_call_needs_two_even_and_odd_pairs_of_the_range(low: int, high: int, calls: int) -> None:
    capacity = derive_capacity(1_000_000, low, high)
    assert (capacity.calls, capacity.bound_by) == (calls, "media ports")


def test_few_descriptors_bound_the_calls_with_a_reserve() -> None:
    capacity = derive_capacity(256, 20000, 29999, streams=False)
    assert (capacity.calls, capacity.bound_by, capacity.connections) == (41, "descriptors", 0)


def test_stream_connections_have_their_own_share() -> None:
    capacity = derive_capacity(1024, 20000, 29999)
    assert capacity.connections == 214
    assert 4 * capacity.calls + capacity.connections <= 1024 * 0.9


def test_hardly_any_descriptor_means_no_call_rather_than_a_negative_number() -> None:
    assert derive_capacity(16, 20000, 29999).calls == 0


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowered = min(soft, 512)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowered, hard))
    try:
        assert raise_descriptor_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_capped_receive_buffer_is_said_with_the_command_that_helps(tmp_path: Path) -> None:
    cap = tmp_path / "rmem_max"
    cap.write_text("212992\n")
    text = receive_buffer_warning(212_992, 4_194_304, rmem_max=cap)
    assert "208 kB instead of 4096 kB" in text and "sysctl -w net.core.rmem_max=4194304" in text
    assert receive_buffer_warning(4_194_304, 4_194_304, rmem_max=cap) == ""


def test_the_process_knows_its_memory_and_descriptors() -> None:
    assert resident_kb() > 1000
    assert open_descriptors() >= 3
    assert resident_kb(Path("/nonexistent")) == 0
    assert open_descriptors(Path("/nonexistent")) == 0
