"""The daemon as an operator runs it: the `voipat` command in a process of its own, on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.rig.processes import Process, free_port

REPOSITORY = Path(__file__).resolve().parents[2]
VOIPAT = Path(sys.executable).parent / "voipat"
OFFICE = REPOSITORY / "examples" / "office.toml"


class Server:
    """`voipat serve` on a free port with a data directory of its own."""

    def __init__(
        self,
        directory: Path,
        *,
        config: Path = OFFICE,
        port: int | None = None,
        command: Sequence[str] = (str(VOIPAT),),
        environment: Mapping[str, str] | None = None,
        **settings: str,
    ) -> None:
        self.command = command
        self.environment = environment or {}
        self.directory = directory
        self.data = directory / "data"
        self.config = config
        self.port = port or free_port()
        self.settings = {
            "server.listen": f'["udp://127.0.0.1:{self.port}", "tcp://127.0.0.1:{self.port}"]',
            "server.data": str(self.data),
            # sipp counts an OPTIONS that it did not expect as a failed call.
            "server.registrar.keepalive_s": "0",
            **settings,
        }
        self.starts = 0
        directory.mkdir(parents=True, exist_ok=True)
        self.process = self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Process:
        arguments = [f"{key}={value}" for key, value in self.settings.items()]
        overrides = [part for argument in arguments for part in ("--set", argument)]
        self.starts += 1
        self.process = Process(
            [*self.command, "serve", "--config", str(self.config), *overrides],
            cwd=self.directory,
            log=self.directory / f"voipat-{self.starts}.log",
            **self.environment,
        )
        self.process.ready(self._ready, 60, "the daemon is ready")
        return self.process

    def _ready(self) -> bool:
        output = self.process.output()
        assert self.process.alive(), f"the daemon ended: {output}"
        return "ready" in output

    def cli(self, *arguments: str, check: bool = True) -> str:
        command = [str(VOIPAT), *arguments, "--data", str(self.data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=self.directory)
        assert not check or done.returncode == 0, f"{command}: {done.returncode} {done.stderr}"
        return done.stdout

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.cli(*arguments, "--json").splitlines() if line]

    def stats(self) -> dict[str, Any]:
        return self.rows("stats")[0]

    def cpu_seconds(self) -> float:
        """User and system time of the daemon so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def resident_kb(self) -> int:
        """With its part of what it shares with other processes, which changes as they come and go."""
        return self._mapped_kb("Pss")

    def anonymous_kb(self) -> int:
        """What is resident and of no file: what the daemon itself has asked for."""
        return self._mapped_kb("Anonymous")

    def _mapped_kb(self, kind: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                return int(line.split()[1])
        raise AssertionError(f"no {kind}")

    def kill(self) -> None:
        self.process.signal(signal.SIGKILL)
        self.process.wait(5)

    def close(self) -> None:
        self.process.close()
