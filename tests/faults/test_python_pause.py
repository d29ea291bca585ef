"""Media does not wait for Python: the engine's clock goes on while the interpreter is blocked."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bench.rig.media import run_phones
from media import EncodedAudio, Engine, Port
from media.codecs import PCMU, Format

RELAYED, PLAYED, MIXED = 200, 50, 50
PHONES_FROM, PORTS_FROM = 24000, 17000  # below the range that the kernel gives to anyone
PAUSE_S = 0.5
STREAMS = 2 * RELAYED + PLAYED + MIXED


def open_calls(engine: Engine) -> list[Port]:
    """Relayed in pairs, then listeners to one prompt, then a conference; the phone of port n is at PHONES_FROM + n."""
    ports: list[Port] = []
    for index in range(STREAMS):
        phone = ("127.0.0.1", PHONES_FROM + index)
        ports.append(engine.open_port("127.0.0.1", remote=phone, ssrc=index + 1, sequence=1, timestamp=1))
        engine.set_remote(ports[-1], phone, payload_types={0})
    for caller, callee in zip(ports[0 : 2 * RELAYED : 2], ports[1 : 2 * RELAYED : 2], strict=True):
        engine.connect(caller, callee, a_to_b={0: 0}, b_to_a={0: 0})
    prompt = EncodedAudio(bytes(range(1, 251)) * 160)
    for port in ports[2 * RELAYED : 2 * RELAYED + PLAYED]:
        engine.play(port, [prompt], payload_type=0, silence=0xFF, turns=0)
    room = engine.mixer(8000)
    for port in ports[2 * RELAYED + PLAYED :]:
        engine.set_audio(port, rate=8000, receive=[Format(PCMU, 0)], send=Format(PCMU, 0))
        room.add(port)
    return ports


def hold_the_interpreter() -> None:
    """No other thread runs Python meanwhile: PyDLL calls keep the GIL, as a long collection does."""
    ctypes.PyDLL(None).usleep(int(PAUSE_S * 1e6))
    gc.collect()


def heard(seconds: float, disturb: Callable[[], None] | None) -> dict[str, Any]:
    """What the phones counted, with `disturb` called each second of the run."""
    with Engine(port_range=(PORTS_FROM, PORTS_FROM + 2 * STREAMS + 99)) as engine:
        streams = [(PHONES_FROM + index, port.rtp_port) for index, port in enumerate(open_calls(engine))]
        result: dict[str, Any] = {}
        thread = threading.Thread(target=lambda: result.update(run_phones(streams, seconds)))
        thread.start()
        while thread.is_alive():
            time.sleep(0.5)
            if disturb is not None:
                disturb()
        thread.join()
    return result


@pytest.mark.slow
def test_a_blocked_interpreter_delays_and_loses_no_packet(soak: bool) -> None:
    if not soak:
        pytest.skip("a measurement that wants a quiet machine: `make soak` takes it")
    seconds = 6.0
    quiet = heard(seconds, None)["streams"]
    paused = heard(seconds, hold_the_interpreter)["streams"]
    least = STREAMS * 50 * (seconds - 1)
    assert min(quiet["received"], paused["received"]) > least, (quiet, paused)
    assert paused["missing"] <= quiet["missing"], (quiet, paused)
    # Were one pause to stop the clock, each of the 500 streams would have a late packet for it.
    assert paused["late"] <= quiet["late"] + STREAMS // 10, (quiet, paused)
