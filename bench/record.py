"""CPU per recorded 20 ms of a stereo call, sealed: what recording adds to a relayed call.

    python -m bench.record [--calls 50] [--seconds 60] [--rounds 3] [--directory DIR]

Question: what do the three parts of a recording cost, each against the same traffic without it? The engine runs on the
manual clock in this process, so that its CPU is ours: relay alone, with both directions decoded (jitter buffer,
G.711), and with the recording sealed to a file. Prints one JSON object a line; figures are µs per call and 20 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from media import Engine, ManualClock, Port
from media.codecs import PCMU, Format
from media.sealed import Format as FileFormat
from media.sealed import SealedWriter

FORMAT = Format(PCMU, 0)
WHAT = ("relay", "decoded", "sealed")


class Keys:
    """A key for each recording, in memory: making one is not what is measured."""

    def make(self, tenant: str, object_id: str) -> bytes:
        return os.urandom(32)

    def find(self, tenant: str, object_id: str) -> bytes:
        raise NotImplementedError


def opened(engine: Engine, index: int, what: str, directory: Path) -> tuple[Port, Port]:
    pair = [
        engine.open_port("127.0.0.1", remote=("192.0.2.1", 4000 + side), ssrc=index, sequence=1, timestamp=1)
        for side in (0, 1)
    ]
    engine.connect(*pair, a_to_b={0: 0}, b_to_a={0: 0})
    if what != "relay":
        engine.set_audio(pair[0], rate=8000, receive=[FORMAT], told=[FORMAT])
    if what == "sealed":

        def create() -> SealedWriter:
            form = FileFormat(8000, 2)
            path = directory / f"{index}.sealed"
            return SealedWriter(path, Keys(), tenant="t", object_id=str(index), form=form, random_bytes=os.urandom)

        engine.record(pair[0], create, on_finished=lambda _: None)
    return pair[0], pair[1]


def measure(what: str, calls: int, seconds: float, directory: Path) -> float:
    """µs of CPU for each call and 20 ms."""
    ticks = round(seconds * 50)
    head = bytearray(b"\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07") + b"\x55" * 160
    with Engine(clock=ManualClock(), port_range=(20000, 20000 + 4 * calls + 9)) as engine:
        pairs = [opened(engine, index, what, directory) for index in range(calls)]
        begin = time.process_time()
        for tick in range(ticks):
            head[2:8] = (tick & 0xFFFF).to_bytes(2, "big") + (tick * 160 & 0xFFFFFFFF).to_bytes(4, "big")
            packet = bytes(head)
            for a, b in pairs:
                engine.feed(a, packet, ("192.0.2.1", 4000))
                engine.feed(b, packet, ("192.0.2.1", 4001))
            engine.step((tick + 1) * 0.02)
            engine.take()
        spent = time.process_time() - begin
    return spent * 1e6 / ticks / calls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    found: dict[str, list[float]] = {what: [] for what in WHAT}
    for _ in range(options.rounds):
        for what in WHAT:
            with tempfile.TemporaryDirectory(dir=options.directory) as folder:
                found[what].append(measure(what, options.calls, options.seconds, Path(folder)))
    medians = {what: statistics.median(values) for what, values in found.items()}
    print(json.dumps({"us_per_20ms": {what: [round(value, 2) for value in found[what]] for what in WHAT}}))
    added = {
        "decoding": round(medians["decoded"] - medians["relay"], 2),
        "recording": round(medians["sealed"] - medians["decoded"], 2),
    }
    print(json.dumps({"added": added, "calls": options.calls, "seconds": options.seconds}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
