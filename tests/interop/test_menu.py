"""A program of a few lines and a real phone: it hears what is played, its keys are read, and it reads ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.rig.processes import Process, free_port, wait_until
from tests.interop.baresip import Baresip
from tests.interop.tones import dominant_frequency, longest_gap_ms, toned_seconds

PROGRAM = """\
import voipat

app = voipat.App(listen="udp://127.0.0.1:{port}", media="127.0.0.1:{media}-{last}")


@app.on_call("sip:tone@*", public=True)
async def tone(call):
    await call.play(voipat.Tone(440, seconds=4.0))


@app.on_call("sip:main@*", public=True)
async def main(call):
    answer = await call.ask(voipat.Tone(440, seconds=30.0), digits=3)
    print("answer", answer, flush=True)
    await call.play(voipat.Tone(880, seconds=3.0))


print("ready", flush=True)
app.run()
"""

# Below the range that the kernel gives to anyone.
MEDIA = 28000


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, Process]]:
    port = free_port()
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(port=port, media=MEDIA, last=MEDIA + 99))
    root = Path(__file__).resolve().parents[2]
    process = Process([sys.executable, str(path)], cwd=root, log=tmp_path / "program.log", PYTHONPATH=str(root))
    wait_until(lambda: "ready" in process.output(), 10, "the program runs")
    yield f"127.0.0.1:{port}", process
    process.close()


def phone(directory: Path, address: str) -> Baresip:
    return Baresip(
        directory / "alice", user="alice", password="none", server=address, port=free_port(run=5), frequency=1000.0
    )


def test_a_real_phone_hears_a_tone_for_its_whole_length(tmp_path: Path, address: tuple[str, Process]) -> None:
    with closing(phone(tmp_path, address[0])) as alice:
        alice.command("dial", f"sip:tone@{address[0]}")
        alice.wait_for("CALL_ESTABLISHED")
        alice.wait_for("CALL_CLOSED", timeout=10)
    heard = alice.heard()
    assert toned_seconds(heard) == pytest.approx(4.0, abs=0.3)
    assert dominant_frequency(heard[4000 : 4000 + 16000]) == pytest.approx(440, abs=2)
    assert longest_gap_ms(heard) <= 40


def test_keys_of_a_real_phone_stop_the_prompt_and_are_the_answer(tmp_path: Path, address: tuple[str, Process]) -> None:
    with closing(phone(tmp_path, address[0])) as alice:
        alice.command("dial", f"sip:main@{address[0]}")
        alice.wait_for("CALL_ESTABLISHED")
        alice.wait_heard(1.5)
        alice.press("258")
        wait_until(lambda: "answer 258" in address[1].output(), 10, f"the answer; {address[1].output()}")
        alice.wait_for("CALL_CLOSED", timeout=10)
    heard = alice.heard()
    assert dominant_frequency(heard[4000:12000]) == pytest.approx(440, abs=2)
    assert dominant_frequency(heard[-16000:-4000]) == pytest.approx(880, abs=2)
