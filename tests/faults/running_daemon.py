"""A daemon in a process of its own, on a free port and a data directory of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.rig.processes import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
OFFICE = ROOT / "examples" / "office.toml"
COMMAND = [sys.executable, "-m", "pbx"]


class RunningDaemon:
    """`voipat serve`, and the other commands against it."""

    def __init__(self, directory: Path, *, config: Path = OFFICE, port: int | None = None, **pipes: Any) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.config = config
        self.port = port or free_port()
        self.log = directory / f"daemon-{self.port}.log"
        directory.mkdir(parents=True, exist_ok=True)
        self._ready_before = self._times_ready() if self.log.exists() else 0  # a port may be another daemon's of before
        with self.log.open("ab") as log:
            streams: dict[str, Any] = {"stdout": log, "stderr": log, "cwd": ROOT, **pipes}
            self.process = subprocess.Popen([*COMMAND, "serve", *self.arguments], **streams)

    @property
    def arguments(self) -> list[str]:
        listen = f'["udp://127.0.0.1:{self.port}", "tcp://127.0.0.1:{self.port}"]'
        settings = ["--set", f"server.listen={listen}", "--set", f"server.data={self.data}"]
        return ["--config", str(self.config), *settings]

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def ready(self, count: int = 1) -> RunningDaemon:
        """Waits until it says so."""

        def said() -> bool:
            assert self.process.poll() is None, f"the daemon ended: {self.output}"
            return self._times_ready() >= self._ready_before + count

        wait_until(said, 60, "the daemon is ready")
        return self

    def _times_ready(self) -> int:
        return sum(line.startswith("ready in ") for line in self.output.splitlines())

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, *arguments, "--data", str(self.data)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.ask(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, limit: float = 120.0) -> int:
        return self.process.wait(limit)

    def close(self) -> None:
        """Ends it, however it is."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
