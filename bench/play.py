"""CPU per played RTP packet: one prompt that all channels share, beside a bare C loop of sendto, in one run.

    python -m bench.play [--channels 500] [--seconds 6] [--rounds 3]

Question: what does playing cost over the floor of one sendto per packet and tick? Both send 50 packets/s of G.711
to each of the same listeners, which are another process, in turns. CPU is that of the sending thread alone; what was
sent is counted at the listeners too. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from bench.rig.media import build
from bench.rig.turns import figure, in_turns
from media import EncodedAudio, Engine

PORTS_FROM, LISTENERS_FROM = 12000, 16000  # below the range that the kernel gives to anyone


def with_listeners(channels: int, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` measured, and what the listeners counted meanwhile."""
    command = [build("sink"), str(channels), str(LISTENERS_FROM)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdin and sink.stdout
        assert sink.stdout.readline() == "ready\n"
        found = work()
        time.sleep(0.1)
        sink.stdin.close()
        counted = json.loads(sink.stdout.readline())
    return {**found, **counted, "lost": found["packets"] - counted["received"]}


def measure_bare(channels: int, seconds: float) -> dict[str, Any]:
    """The floor."""

    def work() -> dict[str, Any]:
        command = [str(build("bare_send")), str(seconds), str(channels), str(PORTS_FROM), str(LISTENERS_FROM)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=seconds + 30)
        return dict(json.loads(done.stdout))

    return with_listeners(channels, work)


def measure_engine(channels: int, seconds: float) -> dict[str, Any]:
    """Ours, with everything on."""

    def work() -> dict[str, Any]:
        prompt = EncodedAudio(bytes(range(1, 251)) * 160)  # 5 s, again and again
        with Engine(port_range=(PORTS_FROM, PORTS_FROM + 2 * channels + 99)) as engine:
            ports = []
            for index in range(channels):
                listener = ("127.0.0.1", LISTENERS_FROM + 2 * index)
                ports.append(engine.open_port("127.0.0.1", remote=listener, ssrc=index + 1, sequence=1, timestamp=1))
            cpu = engine.cpu_seconds[0]
            playing = [engine.play(port, [prompt], payload_type=0, silence=0xFF, turns=0) for port in ports]
            time.sleep(seconds)
            for port, number in zip(ports, playing, strict=True):
                engine.stop_play(port, number)
            time.sleep(0.1)
            cpu = engine.cpu_seconds[0] - cpu
            packets = sum(engine.stats(port).packets_out for port in ports)
            late = engine.late_ticks
        return {"packets": packets, "cpu_s": cpu, "late_ticks": late}

    return with_listeners(channels, work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bare, ours = in_turns(
        lambda: measure_bare(options.channels, options.seconds),
        lambda: measure_engine(options.channels, options.seconds),
        options.rounds,
    )
    load = f"{options.channels} channels, {options.channels * 50} packets/s, CPU of the sending thread"
    costs = [[run["cpu_s"] / run["packets"] * 1e6 for run in runs] for runs in (bare, ours)]
    print(figure("bare C sendto, CPU per packet", "µs", costs[0], f"{load}; lost {[run['lost'] for run in bare]}"))
    late = [run["late_ticks"] for run in ours]
    note = f"{load}; lost {[run['lost'] for run in ours]}, late ticks {late}"
    print(figure("one shared prompt, CPU per packet", "µs", costs[1], note))
    print(figure("playing / bare C", "×", [b / a for a, b in zip(*costs, strict=True)], "rounds in turns, one run"))
    beside = [run["largest_gap_ms"] for run in bare]
    gaps = [run["largest_gap_ms"] for run in ours]
    print(figure("longest gap at a listener while playing", "ms", gaps, f"20 is the tick; bare C beside it: {beside}"))


if __name__ == "__main__":
    main()
