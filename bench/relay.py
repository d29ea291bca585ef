"""CPU per relayed RTP packet: voipat's engine beside a bare-C relay, in one run.

    python -m bench.relay [--calls 500] [--seconds 6] [--rounds 3]

Question: what does the engine cost over the floor of one epoll loop with recvfrom/sendto? Both relay the same streams
(CALLS × 2 × 50 packets/s of G.711) from the same generator in its own process, in turns. CPU is that of the relaying
thread alone; loss and latency are measured by stamps in the payload, at the phones. Shipped configuration: latch rules,
counters, RTCP, DSCP are on. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
from pathlib import Path
from typing import Any

from bench.rig.media import build, run_phones
from bench.rig.turns import figure, in_turns
from media import Engine, Port

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "bench"
PHONES_FROM, PORTS_FROM = 26000, 20000  # below the range that the kernel gives to anyone


def run_against(targets: list[int], seconds: float) -> dict[str, Any]:
    """One phone per target port; what the generator prints."""
    return run_phones(((PHONES_FROM + index, target) for index, target in enumerate(targets)), seconds)


def measure_bare(calls: int, seconds: float) -> dict[str, Any]:
    """The floor."""
    targets = [PORTS_FROM + 2 * index for index in range(2 * calls)]
    pairs = "".join(
        f"{targets[2 * i]} {PHONES_FROM + 2 * i} {targets[2 * i + 1]} {PHONES_FROM + 2 * i + 1}\n" for i in range(calls)
    )
    command = [build("bare_relay"), str(seconds + 1.5)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdin and relay.stdout
        relay.stdin.write(pairs)
        relay.stdin.close()
        assert relay.stdout.readline() == "ready\n"
        phones = run_against(targets, seconds)
        counted = json.loads(relay.stdout.readline())
    return {"us_per_packet": counted["cpu_s"] / counted["packets"] * 1e6, **phones}


def open_calls(engine: Engine, calls: int) -> list[Port]:
    """Ports in pairs, each pair relayed."""
    ports: list[Port] = []
    for index in range(2 * calls):
        phone = ("127.0.0.1", PHONES_FROM + index)
        ports.append(engine.open_port("127.0.0.1", remote=phone, ssrc=index + 1, sequence=1, timestamp=1))
        engine.set_remote(ports[-1], phone, payload_types={0, 101}, telephone_event=101)
        if index % 2:
            engine.connect(ports[-2], ports[-1], a_to_b={0: 0, 101: 101}, b_to_a={0: 0, 101: 101})
    return ports


def measure_engine(calls: int, seconds: float) -> dict[str, Any]:
    """Ours, with everything on."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Engine(port_range=(PORTS_FROM, PORTS_FROM + 4 * calls + 99)) as engine:
        ports = open_calls(engine, calls)
        cpu = engine.cpu_seconds[0]
        phones = run_against([port.rtp_port for port in ports], seconds)
        cpu = engine.cpu_seconds[0] - cpu
        packets = sum(engine.stats(port).packets_out for port in ports)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        late = engine.late_ticks
    return {"us_per_packet": cpu / packets * 1e6, "late_ticks": late, "rss_growth_kb_per_call": grown / calls, **phones}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bare, ours = in_turns(
        lambda: measure_bare(options.calls, options.seconds),
        lambda: measure_engine(options.calls, options.seconds),
        options.rounds,
    )
    load = f"{options.calls} calls, {options.calls * 100} packets/s, CPU of the relaying thread"
    costs = [[run["us_per_packet"] for run in runs] for runs in (bare, ours)]
    print(figure("bare C relay, CPU per packet", "µs", costs[0], f"{load}; lost {[run['lost'] for run in bare]}"))
    print(figure("engine relay, CPU per packet", "µs", costs[1], f"{load}; lost {[run['lost'] for run in ours]}"))
    print(figure("engine / bare C", "×", [b / a for a, b in zip(*costs, strict=True)], "rounds in turns, one run"))
    for part in ("p50", "p99"):
        runs = [run["latency_us"][part] for run in ours]
        beside = [run["latency_us"][part] for run in bare]
        print(figure(f"phone to phone latency {part}, engine", "µs", runs, f"bare C beside it: {beside}"))
    grown = [run["rss_growth_kb_per_call"] for run in ours]
    print(figure("resident memory per relayed call", "kB", [max(grown)], "engine and its Python handles, first round"))


if __name__ == "__main__":
    main()
