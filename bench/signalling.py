"""CPU of the daemon per REGISTER and per call, and its memory per binding and per call, under sipp on loopback UDP.

The server's own user and system time over units of work that succeeded; the generator is another process and not
counted. Shipped configuration: CDRs, guard and counters on. Medians of `runs`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import OFFICE, Server

EXTENSIONS = 5000
FIRST = 10000


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured cell: `value` is the median of `runs`."""

    name: str
    unit: str
    value: float
    runs: list[float]
    note: str


def many_extensions(directory: Path) -> Path:
    """The example's server section with 5,000 extensions."""
    head = OFFICE.read_text().split("[[tenant]]", 1)[0]
    lines = [head, "[[tenant]]", 'domain = "office.test"', 'digest = ["MD5"]', ""]
    for number in range(FIRST, FIRST + EXTENSIONS):
        lines += ["[[tenant.extension]]", f'number = "{number}"', f'password = "pass-{number}"', ""]
    path = directory / "bench.toml"
    path.write_text("\n".join(lines))
    return path


def users(count: int) -> list[str]:
    return [str(FIRST + index) for index in range(count)]


def registrations(server: Server, directory: Path, *, rate: int, count: int) -> tuple[float, sipp.Sipp]:
    """CPU µs per successful digest REGISTER (401 and 200)."""
    rows = [[user, sipp.credentials(user), 6000] for user in users(EXTENSIONS)]
    before = server.cpu_seconds()
    done = sipp.run(
        directory, "register", target=server.address, port=free_port(), rows=rows, rate=rate, calls=count, timeout=120
    )
    return (server.cpu_seconds() - before) / done.successful() * 1e6, done


def calls(server: Server, directory: Path, *, rate: int, count: int, hold_ms: int = 200) -> tuple[float, sipp.Sipp]:
    """CPU ms per call: digest INVITE, 180, 200, ACK, BYE on both legs, media anchored, CDR written."""
    contact = free_port()
    callee = users(1)[0]
    sipp.run(
        directory,
        "register",
        target=server.address,
        port=free_port(),
        calls=1,
        rows=[[callee, sipp.credentials(callee), contact]],
    )
    answering = sipp.Sipp(directory, "answer", target=server.address, port=contact)
    rows = [[user, sipp.credentials(user), callee, 6000] for user in users(200)[1:]]
    try:
        before = server.cpu_seconds()
        done = sipp.run(
            directory,
            "call",
            target=server.address,
            port=free_port(),
            rows=rows,
            rate=rate,
            calls=count,
            hold_ms=hold_ms,
            timeout=180,
        )
        wait_until(lambda: server.stats()["calls"] == 0, 10, "calls end")
        return (server.cpu_seconds() - before) / done.successful() * 1e3, done
    finally:
        answering.close()


def memory_per_call(server: Server, directory: Path, *, count: int = 500) -> float:
    """Resident kB per call that is up, media ports included."""
    contact = free_port()
    callee = users(1)[0]
    rows = [[callee, sipp.credentials(callee), contact]]
    sipp.run(directory, "register", target=server.address, port=free_port(), calls=1, rows=rows)
    answering = sipp.Sipp(directory, "answer", target=server.address, port=contact)
    before = server.resident_kb()
    callers = [[user, sipp.credentials(user), callee, 6000] for user in users(200)[1:]]
    calling = sipp.Sipp(
        directory,
        "call",
        target=server.address,
        port=free_port(),
        rows=callers,
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
        answering.close()


def measure(runs: int, directory: Path) -> list[Figure]:
    config = many_extensions(directory)
    server = Server(directory / "server", config=config)
    try:
        empty = server.resident_kb()
        first, _ = registrations(server, directory, rate=1000, count=EXTENSIONS)
        binding_kb = (server.resident_kb() - empty) / EXTENSIONS
        register_us = [registrations(server, directory, rate=3000, count=15000)[0] for _ in range(runs)]
        call_runs = [calls(server, directory, rate=100, count=1500) for _ in range(runs)]
        call_ms = [cost for cost, _ in call_runs]
        failed = sum(done.failed() for _, done in call_runs)
        repeats = sum(done.retransmissions() for _, done in call_runs)
        call_kb = memory_per_call(server, directory)
    finally:
        server.close()
    return [
        Figure(
            "digest REGISTER (401 + 200), 5,000 AORs, 3,000/s",
            "µs CPU",
            statistics.median(register_us),
            register_us,
            f"first round at 1,000/s: {first:.0f}",
        ),
        Figure(
            "B2BUA call, digest, media anchored, CDR, 100/s, 200 ms hold",
            "ms CPU",
            statistics.median(call_ms),
            call_ms,
            f"failed {failed}, retransmitted {repeats}",
        ),
        Figure("memory per binding", "kB", binding_kb, [binding_kb], f"{EXTENSIONS} bindings"),
        Figure("memory per call, media ports open", "kB", call_kb, [call_kb], "500 calls up"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voipat-bench-") as directory:
        for figure in measure(options.runs, Path(directory)):
            print(json.dumps(asdict(figure)), flush=True)


if __name__ == "__main__":
    main()
