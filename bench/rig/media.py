"""RTP load with a stamp in each packet, so that loss and delay are measured end to end (`bench/native/phones.c`)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NATIVE = Path(__file__).resolve().parents[1] / "native"
BUILD = Path(__file__).resolve().parents[2] / "build" / "bench"


def build(name: str) -> Path:
    """The program of bench/native, compiled when it changed."""
    source, program = NATIVE / f"{name}.c", BUILD / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-O2", "-pthread", "-o", program, source], check=True)
    return program


def run_phones(streams: Iterable[tuple[int, int]], seconds: float) -> dict[str, Any]:
    """One phone per (local port, target port) on 127.0.0.1, sending G.711 each 20 ms; what the generator counted.

    Keys: sent, received, lost, late_send_ms, cpu_s, kernel_drops, latency_us, streams (of any RTP that came).
    """
    lines = "".join(f"{local} {target}\n" for local, target in streams)
    command = [str(build("phones")), str(seconds)]
    done = subprocess.run(command, input=lines, text=True, stdout=subprocess.PIPE, check=True, timeout=seconds + 30)
    return dict(json.loads(done.stdout))
