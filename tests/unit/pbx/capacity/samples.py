"""Costs with round numbers, for tests of what is made of them."""

from __future__ import annotations

from pbx.capacity.costs import STAGES, Check, Cost, Costs, Knee, Point, Quality


def cost(signalling: float, media: float = 0.0, disk: float = 0.0, *, per_second: bool = False) -> Cost:
    total = signalling + media + disk
    stages = {"signalling": signalling, "media": media, "disk": disk}
    return Cost("a title", total, (total * 0.9, total, total * 1.1), stages, per_second=per_second)


def costs(*, wake: float = 0.0) -> Costs:
    """1 ms a call, 1 ms a second of media, 100 µs a registration."""
    media = {name: cost(0, 1e-3, per_second=True) for name in ("relay", "srtp", "play", "conference")}
    return Costs(
        version="0",
        machine="a machine",
        cores=2,
        memory_kb=4 * 1024 * 1024,
        measured_at="2026-11-27T00:00:00+00:00",
        seconds=120,
        idle=0.01,
        base_kb=100 * 1024,
        binding_kb=2,
        call_kb=50,
        tls_kb=20,
        recording_octets_s=16_000,
        cdr_octets=1000,
        wake=dict.fromkeys(STAGES, wake),
        costs={
            "registration": cost(90e-6, disk=10e-6),
            "keepalive": cost(50e-6),
            "call": cost(0.8e-3, 0.1e-3, 0.1e-3),
            "trunk_call": cost(0.8e-3, 0.1e-3, 0.1e-3),
            "tls_call": cost(1.6e-3, 0.1e-3, 0.1e-3),
            "tls_handshake": cost(2e-3),
            **media,
            "opus": cost(0, 8e-3, per_second=True),
            "g722": cost(0, 2e-3, per_second=True),
            "record": cost(0, 1.5e-3, 0.5e-3, per_second=True),
        },
        curve=(
            Point(50, 0.1, 4.0, 9.0, 100, 0, 0, {"signalling": 0.08, "media": 0.01, "disk": 0.01}),
            Point(200, 0.4, 6.0, 30.0, 400, 0, 0, {"signalling": 0.32, "media": 0.04, "disk": 0.04}),
        ),
        quality={"relay": Quality(4.4, 0.0, 0.3, 1.2), "opus": Quality(4.3, 0.001, 0.5, None)},
        knee=Knee(200, 230, "set-up took 250 ms (p99)"),
        checks=(
            Check("mixed office", 0.55, 0.5, "20 calls a second"),
            Check("mixed call centre", 0.4, 0.5, "40 calls"),
        ),
        proof="generator 30% of its core",
        waited=0.01,
        notes=("a note",),
    )
