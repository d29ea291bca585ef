"""Media does not wait for Python: the engine's clock goes on while the interpreter is blocked."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest

from bench.rig.media import run_phones
from media import EncodedAudio, Engine, Port
from media.codecs import PCMU, Format

PHONES_FROM, PORTS_FROM = 24000, 17000  # below the range that the kernel gives to anyone
PAUSE_S = 0.5
PAUSE_EVERY_S = 1.0


class Load(NamedTuple):
    """Calls of each kind; a relayed one has two streams."""

    relayed: int
    played: int
    mixed: int

    @property
    def streams(self) -> int:
        return 2 * self.relayed + self.played + self.mixed


def open_calls(engine: Engine, load: Load) -> list[Port]:
    """Relayed in pairs, then listeners to one prompt, then a conference; the phone of port n is at PHONES_FROM + n."""
    ports: list[Port] = []
    for index in range(load.streams):
        phone = ("127.0.0.1", PHONES_FROM + index)
        ports.append(engine.open_port("127.0.0.1", remote=phone, ssrc=index + 1, sequence=1, timestamp=1))
        engine.set_remote(ports[-1], phone, payload_types={0})
    relayed = ports[: 2 * load.relayed]
    for caller, callee in zip(relayed[::2], relayed[1::2], strict=True):
        engine.connect(caller, callee, a_to_b={0: 0}, b_to_a={0: 0})
    prompt = EncodedAudio(bytes(range(1, 251)) * 160)
    for port in ports[len(relayed) : len(relayed) + load.played]:
        engine.play(port, [prompt], payload_type=0, silence=0xFF, turns=0)
    room = engine.mixer(8000)
    for port in ports[len(relayed) + load.played :]:
        engine.set_audio(port, rate=8000, receive=[Format(PCMU, 0)], send=Format(PCMU, 0))
        room.add(port)
    return ports


def nothing() -> None:
    """A turn without a pause."""


def hold_the_interpreter() -> None:
    """No thread runs Python meanwhile, which is more than a blocked loop does: a PyDLL call keeps the GIL."""
    ctypes.PyDLL(None).usleep(int(PAUSE_S * 1e6))


def long_collection() -> Callable[[], None]:
    """One garbage collection that takes the pause: as many cells in cycles as are looked at in that time."""

    def cells(count: int) -> list[list[object]]:
        made: list[list[object]] = [[] for _ in range(count)]
        for before, after in pairwise(made):
            after.append(before)
        return made

    kept = cells(500_000)
    started = time.thread_time()
    gc.collect()
    kept += cells(int(len(kept) * (PAUSE_S / (time.thread_time() - started) - 1)))

    def collect() -> None:
        assert kept
        gc.collect()

    return collect


def heard(load: Load, seconds: float, disturb: Callable[[], None]) -> Counter[str]:
    """What the phones counted of their streams, with `disturb` called each second of the run."""
    with Engine(port_range=(PORTS_FROM, PORTS_FROM + 2 * load.streams + 99)) as engine:
        streams = [(PHONES_FROM + index, port.rtp_port) for index, port in enumerate(open_calls(engine, load))]
        result: Counter[str] = Counter()
        thread = threading.Thread(target=lambda: result.update(run_phones(streams, seconds)["streams"]))
        thread.start()
        while thread.is_alive():
            thread.join(PAUSE_EVERY_S - PAUSE_S)
            disturb()
    return result


def is_complete(counted: Counter[str], load: Load, seconds: float) -> bool:
    return counted["received"] > load.streams * 50 * (seconds - 1)


def test_a_blocked_interpreter_stops_no_stream() -> None:
    """A few calls. A clock that stopped with Python would make each stream late in each of the turns."""
    load, seconds = Load(relayed=8, played=4, mixed=4), 1.5
    turns = []
    for _ in range(3):  # the machine may have stopped for all in one of them
        paused = heard(load, seconds, hold_the_interpreter)
        assert is_complete(paused, load, seconds), paused
        turns.append(paused)
        if paused["missing"] == 0 and paused["late"] < load.streams:
            return
    pytest.fail(f"late or lost in each turn: {turns}")


@pytest.mark.slow
def test_a_pause_of_python_delays_and_loses_no_packet(soak: bool) -> None:
    """200 relayed, 50 played and 50 mixed calls, in turns without and with the pauses."""
    if not soak:
        pytest.skip("a measurement that wants a quiet machine: `make soak` takes it")
    load, seconds, turns = Load(relayed=200, played=50, mixed=50), 10.0, 3
    kinds = {"no pause": nothing, "blocked": hold_the_interpreter, "collection": long_collection()}
    counted: dict[str, list[Counter[str]]] = {name: [] for name in kinds}
    for _ in range(turns):
        for name, disturb in kinds.items():
            counted[name].append(heard(load, seconds, disturb))
            print(f"{name}: {dict(counted[name][-1])}")
            assert is_complete(counted[name][-1], load, seconds), counted
    # The machine itself may stop in a turn. What a pause of Python did it would do in each turn, ten times.
    least = {
        name: {what: min(turn[what] for turn in all_turns) for what in ("late", "missing")}
        for name, all_turns in counted.items()
    }
    assert least["blocked"] == least["collection"] == least["no pause"], counted
