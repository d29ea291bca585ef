"""CPU of the daemon per REGISTER and per call, and its memory per binding and per call, under sipp on loopback UDP.

The server's own user and system time over units of work that succeeded; the generator is another process on another
core and not counted. Shipped configuration: CDRs, guard and counters on. Medians of `runs`. Phones are authenticated by
digest; calls without it come over a trunk, which is known by its address. Set-up times are those of sipp, from the last
INVITE to the 200, with what the phone takes to answer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.rig import load, usage
from bench.rig.extensions import CARRIER, EXTENSIONS, many_extensions
from bench.rig.figures import Figure, evidence, median
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from bench.rig.sipp import Sipp


def target_of(server: Server) -> load.Target:
    return load.Target(server.address, server.cpu_seconds, lambda: usage.kernel_drops(server.port))


def note(loads: Sequence[load.Load], more: str = "") -> str:
    failed, repeated = sum(one.failed for one in loads), sum(one.retransmitted for one in loads)
    return f"failed {failed}, retransmitted {repeated}; {more}{evidence([one.proof for one in loads])}"


def at_rest(server: Server) -> None:
    wait_until(lambda: server.stats()["calls"] == 0, 10, "calls end")


def call_loads(
    server: Server, directory: Path, callee: load.Callee, runs: int, *, rate: float = 100, digest: bool = True
) -> list[load.Load]:
    """INVITE, 180, 200, ACK, BYE on both legs, media anchored, CDR written: ten seconds of it, `runs` times."""
    target = target_of(server)
    scenario, host = ("call", "127.0.0.1") if digest else ("call_open", CARRIER)
    return [
        load.calls(
            directory,
            target,
            callee,
            rate=rate,
            count=int(rate * 10),
            settle=lambda: at_rest(server),
            scenario=scenario,
            host=host,
        )
        for _ in range(runs)
    ]


def call_figures(name: str, loads: Sequence[load.Load]) -> list[Figure]:
    """CPU of a call, and the 99th percentile of its set-up."""
    repeated = sum(one.retransmitted for one in loads) / max(sum(one.successful for one in loads), 1)
    return [
        median(f"B2BUA call, {name}", "ms CPU", [one.cost() * 1e3 for one in loads], note(loads)),
        median(
            f"set-up p99, {name}",
            "ms",
            [one.percentile(0.99) for one in loads],
            f"{repeated:.2%} retransmitted; " + note(loads),
        ),
    ]


def started(directory: Path, *settings: str) -> Server:
    with usage.pinned(usage.cores()[0]):
        config = many_extensions(directory.parent, *settings, trunk=True)
        # Calls of sipp have no RTP, and some stand for longer than the daemon waits for any.
        return Server(directory, config=config, **{"server.media_timeout_s": "0"})


def memory_per_call(directory: Path, *, count: int = 500) -> float:
    """Resident kB per call that is up, media ports included; a fresh server, which has nothing freed to use again."""
    server = started(directory / "fresh")
    try:
        callee = load.Callee(directory, target_of(server))
        try:
            return kb_of_calls(server, directory, callee, count)
        finally:
            callee.close()
    finally:
        server.close()


def kb_of_calls(server: Server, directory: Path, callee: load.Callee, count: int) -> float:
    before = server.resident_kb()
    calling = Sipp(
        directory,
        "call",
        target=server.address,
        port=free_port(),
        rows=load.callers(200, callee),
        rate=100,
        calls=count,
        hold_ms=20_000,
    )
    try:
        wait_until(lambda: server.stats()["calls_answered"] == count, 30, "all calls are up")
        time.sleep(1)
        return (server.resident_kb() - before) / count
    finally:
        calling.close()


def measure(runs: int, directory: Path) -> list[Figure]:
    server = started(directory / "server")
    try:
        target, empty = target_of(server), server.resident_kb()
        first = load.register(directory, target, rate=1000, count=EXTENSIONS)
        binding_kb = (server.resident_kb() - empty) / EXTENSIONS
        registers = [load.register(directory, target, rate=3000, count=15_000) for _ in range(runs)]
        callee = load.Callee(directory, target)
        try:
            calls = [
                *call_figures(
                    "digest INVITE, media anchored, CDR, 100/s, 200 ms hold",
                    call_loads(server, directory, callee, runs),
                ),
                *call_figures(
                    "INVITE of a trunk without digest, media anchored, CDR, 100/s, 200 ms hold",
                    call_loads(server, directory, callee, runs, digest=False),
                ),
                *call_figures(
                    "digest INVITE, media anchored, CDR, 400/s, 200 ms hold",
                    call_loads(server, directory, callee, runs, rate=400),
                ),
            ]
        finally:
            callee.close()
    finally:
        server.close()
    call_kb = memory_per_call(directory)
    return [
        median(
            "digest REGISTER (401 + 200), 5,000 AORs, 3,000/s",
            "µs CPU",
            [one.cost() * 1e6 for one in registers],
            note(registers, f"first round at 1,000/s: {first.cost() * 1e6:.0f}; "),
        ),
        *calls,
        Figure("memory per binding", "kB", binding_kb, [binding_kb], f"{EXTENSIONS} bindings"),
        Figure("memory per call, media ports open", "kB", call_kb, [call_kb], "500 calls up"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voipat-bench-") as directory:
        for figure in measure(options.runs, Path(directory)):
            figure.print()


if __name__ == "__main__":
    main()
