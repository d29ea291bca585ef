"""RTP load with a stamp in each packet, so that loss and delay are measured end to end (`bench/native/phones.c`)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.rig import usage
from bench.rig.counting import CountingChild
from bench.rig.sound import speech

NATIVE = Path(__file__).resolve().parents[1] / "native"
SHARED = 64  # phones on one socket, where a generator must do more than the server
# Of its core for a crowd: that no packet was late and none dropped says more, and the kernel stamps what arrives.
BUSIEST_CROWD = 0.95
BUILD = Path(__file__).resolve().parents[2] / "build" / "bench"


def build(name: str) -> Path:
    """The program of bench/native, compiled when it changed."""
    source, program = NATIVE / f"{name}.c", BUILD / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-O2", "-pthread", "-o", program, source], check=True)
    return program


def sound_file() -> Path:
    """A minute of what sounds like speech, G.711 µ-law, made when it is not there."""
    path = BUILD / "speech.ulaw"
    if not path.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        path.write_bytes(speech(60))
    return path


def run_phones(streams: Iterable[tuple[int, int]], seconds: float) -> dict[str, Any]:
    """One phone per (local port, target port) on 127.0.0.1, sending G.711 each 20 ms; what the generator counted.

    Keys: sent, received, lost, late_send_ms, cpu_s, kernel_drops, latency_us, streams (of any RTP that came).
    """
    lines = "".join(f"{local} {target}\n" for local, target in streams)
    command = [str(build("phones")), str(seconds)]
    done = subprocess.run(command, input=lines, text=True, stdout=subprocess.PIPE, check=True, timeout=seconds + 30)
    return dict(json.loads(done.stdout))


class Phones:
    """The same in the background, on the generator's core, with the proof that it was not the limit.

    `talkers`: so many send speech and the others silence, unstamped; None: all send stamps.
    """

    def __init__(
        self,
        streams: Sequence[tuple[int, int]],
        seconds: float,
        *,
        first: int = 0,
        talkers: int | None = None,
        drops: Callable[[], int] = lambda: 0,
    ) -> None:
        self._due = seconds * 50 * len(streams)
        is_crowd = len({local for local, _ in streams}) < len(streams)
        self._busiest = BUSIEST_CROWD if is_crowd else usage.BUSIEST
        self._seconds = seconds
        self._drops, self._before = drops, drops()
        command = [str(build("phones")), str(seconds), str(first)]
        if talkers is not None:
            command += [str(talkers), str(sound_file())]
        with usage.pinned(usage.cores()[1]):
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._child.stdin is not None
        self._child.stdin.write("".join(f"{local} {target}\n" for local, target in streams))
        self._child.stdin.close()
        self._child.stdin = None

    def end(self) -> tuple[dict[str, Any], usage.Proof]:
        """What was counted, when all of it was sent."""
        with self._child:
            output, _ = self._child.communicate(timeout=self._seconds + 30)
        assert self._child.returncode == 0, "the phones failed"
        counted = dict(json.loads(output))
        proof = usage.Proof(
            counted["cpu_s"] / self._seconds,
            counted["sent"] / self._due,
            counted["kernel_drops"],
            self._drops() - self._before,
            counted["late_send_ms"],
            self._busiest,
        )
        return counted, proof


class Sink(CountingChild):
    """Listeners on every second port from one; they count received, missing, largest_gap_ms, cpu_s, kernel_drops."""

    def __init__(self, listeners: int, ports_from: int) -> None:
        super().__init__([str(build("sink")), str(listeners), str(ports_from)], "the listeners failed")
