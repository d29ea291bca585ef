"""RTP load with a stamp in each packet, so that loss and delay are measured end to end (`bench/native/rtpload.c`)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[1] / "native" / "rtpload.c"


def compiled(directory: Path) -> Path:
    binary = directory / "rtpload"
    if not binary.exists():
        subprocess.run(["cc", "-O2", "-pthread", "-o", str(binary), str(SOURCE), "-lm"], check=True)
    return binary


def load(pairs: Iterable[tuple[int, str, int]], *, seconds: float, directory: Path | None = None) -> dict[str, Any]:
    """Sends G.711 packets each 20 ms from every local port to its address; the counts and delays of what came back.

    `pairs` are (local port, host, port). Keys: sent, received, loss, dup, foreign, silent, p50 … (µs).
    """
    with tempfile.TemporaryDirectory() as scratch:
        home = directory or Path(scratch)
        table = home / "pairs"
        table.write_text("".join(f"{local} {host} {port}\n" for local, host, port in pairs))
        command = [str(compiled(home)), "-t", str(seconds), "-f", str(table)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
