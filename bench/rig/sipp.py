"""sipp as phones and load: one run of one scenario of `bench/scenarios/`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from bench.rig.processes import Process, program

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"


def credentials(user: str, password: str | None = None) -> str:
    return f"[authentication username={user} password={password or 'pass-' + user}]"


class Sipp:
    """One sipp process; `rows` fill [field0] … of the scenario, used in turn."""

    def __init__(
        self,
        directory: Path,
        scenario: str,
        *,
        target: str,
        port: int,
        rows: Iterable[Iterable[str | int]] = (),
        calls: int | None = None,
        rate: float = 10,
        hold_ms: int = 200,
        limit: int = 2000,
        trace: bool = False,
        media_port: int | None = None,
        extra: Iterable[str] = (),
        host: str = "127.0.0.1",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.stem = f"{scenario}-{port}"
        self.directory = directory
        table = directory / f"{self.stem}.csv"
        lines = ["SEQUENTIAL", *(";".join(str(field) for field in row) for row in rows)]
        table.write_text("\n".join(lines) + "\n")
        self.statistics = directory / f"{self.stem}.stat"
        argv = [program("sipp"), target, "-sf", str(SCENARIOS / f"{scenario}.xml"), "-nostdin", "-i", host]
        argv += ["-p", str(port), "-r", str(rate), "-d", str(hold_ms), "-l", str(limit)]
        argv += ["-trace_stat", "-stf", str(self.statistics), "-fd", "1", "-recv_timeout", "40000"]
        argv += ["-inf", str(table)] if len(lines) > 1 else []
        argv += ["-m", str(calls)] if calls else []
        argv += ["-mp", str(media_port)] if media_port else []
        argv += ["-trace_msg", "-message_file", str(directory / f"{self.stem}.messages")] if trace else []
        argv += list(extra)
        self.process = Process(argv, cwd=directory, log=directory / f"{self.stem}.log", TERM="dumb")

    def wait(self, timeout: float) -> int:
        return self.process.wait(timeout)

    def last_statistics(self) -> dict[str, str]:
        with self.statistics.open(newline="") as file:
            return list(csv.DictReader(file, delimiter=";"))[-1]

    def successful(self) -> int:
        return int(self.last_statistics()["SuccessfulCall(C)"])

    def failed(self) -> int:
        return int(self.last_statistics()["FailedCall(C)"])

    def retransmissions(self) -> int:
        return int(self.last_statistics()["Retransmissions(C)"])

    def close(self) -> None:
        self.process.close()


def run(directory: Path, scenario: str, *, timeout: float = 30, **options: object) -> Sipp:
    """Runs to the end and gives the finished process; its exit status is 0 only when every call went as written."""
    sipp = Sipp(directory, scenario, **options)  # type: ignore[arg-type]  # passed through
    try:
        status = sipp.wait(timeout)
    finally:
        sipp.close()
    assert status == 0, f"sipp {scenario}: exit {status}\n{sipp.process.output()[-2500:]}"
    return sipp
