"""Prompts, questions and digits as handlers use them, on the simulated network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from media import EncodedAudio
from media.prompts import Item
from voipat import (
    App,
    Call,
    CallOutcome,
    HungUp,
    PromptCorruptError,
    PromptError,
    PromptMissingError,
    Tone,
    pause,
    reasons,
)
from voipat.testing import Phone, SimWorld

LONG = Tone(440, seconds=10.0)


class Stage:
    def __init__(self, world: SimWorld, app: App) -> None:
        self.world = world
        self.app = app
        self.alice: Phone = world.phone("sip:alice@elsewhere.example", tone=1000)

    def dial(self) -> object:
        return self.alice.dial("sip:main@127.0.0.1")


@contextmanager
def stage(handler: Callable[[Call], object], **conditions: float) -> Iterator[Stage]:
    app = App()
    app.on_call("sip:*@*", public=True)(handler)  # type: ignore[arg-type]  # every handler here is a coroutine function
    with SimWorld(app, **conditions) as world:  # type: ignore[arg-type]
        yield Stage(world, app)
        assert world.leaks() == []
        assert not app.calls and app.engine.open_ports == 0 and not app.engine.is_producing


def test_a_caller_hears_a_tone_for_its_time_and_then_the_end() -> None:
    times: list[float] = []

    async def handler(call: Call) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        assert await call.play(Tone(440, seconds=2.0)) == ""
        times.append(loop.time() - begin)

    with stage(handler) as s:
        call = s.alice.dial("sip:main@127.0.0.1").hears(440, within=1.0)
        s.world.run()
        assert call.was_answered and call.ended_by == "peer"
        assert times[0] == pytest.approx(2.02, abs=0.06)
        samples = call.heard.samples()
        assert len(samples) == 16000 and call.heard.longest_gap() == 0


def test_prompts_in_a_row_and_a_list_of_them_are_heard_without_a_hole() -> None:
    async def handler(call: Call) -> None:
        await call.play([Tone(440, seconds=0.5), pause(0.2), Tone(600, seconds=0.5)])
        await call.play(Tone(800, seconds=0.5), start=0.2)

    with stage(handler) as s:
        call = s.alice.dial("sip:main@127.0.0.1")
        s.world.run()
        samples = call.heard.samples()
        assert len(samples) == 8 * (500 + 200 + 500 + 300)
        assert not np.abs(samples[4000:5600]).max() > 8
        assert call.heard.longest_gap() <= 0.04


def test_wav_files_are_played_and_encoded_once_for_all(tmp_path: Path) -> None:
    from tests.interop.baresip import write_tone

    write_tone(tmp_path / "menu.wav", 700, seconds=2.0)

    async def handler(call: Call) -> None:
        await call.play(tmp_path / "menu.wav")

    with stage(handler) as s:
        calls = [s.world.phone(f"sip:p{n}@x.example").dial("sip:main@127.0.0.1").hears(700) for n in range(5)]
        s.world.run()
        assert all(call.was_answered for call in calls)


def test_a_missing_or_corrupt_file_is_a_typed_error_and_the_call_lives_on(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF....WAVEjunk")
    raised: list[type] = []

    async def handler(call: Call) -> None:
        for name, kind in (("none.wav", PromptMissingError), ("bad.wav", PromptCorruptError)):
            with pytest.raises(PromptError, match=name) as caught:
                await call.play(tmp_path / name)
            assert isinstance(caught.value, kind)
            raised.append(kind)
        await call.play(Tone(500, seconds=1.0))

    with stage(handler) as s:
        s.alice.dial("sip:main@127.0.0.1").hears(500)
        s.world.run()
        assert raised == [PromptMissingError, PromptCorruptError]


def test_an_error_that_nobody_catches_ends_that_call_with_an_internal_error() -> None:
    async def handler(call: Call) -> None:
        await call.answer()
        await call.play("nowhere.wav")

    with stage(handler) as s:
        call = s.alice.dial("sip:main@127.0.0.1")
        s.world.run()
        assert call.ended_by == "peer" and s.app.counters["handler_errors"] == 1


def test_a_digit_stops_the_prompt_within_60_ms_and_is_returned() -> None:
    pressed: list[str] = []

    async def handler(call: Call) -> None:
        pressed.append(await call.play(LONG, stop_digits="12"))
        await asyncio.sleep(3.0)

    with stage(handler) as s:
        call = s.alice.dial("sip:main@127.0.0.1").waits(2.0).presses("2")
        s.world.run()
        assert pressed == ["2"]
        heard = len(call.heard.samples()) / 8000
        assert 1.9 <= heard <= 2.0 + 0.06 + 0.02  # a latency of 10 ms each way is in it


def test_digits_that_stop_nothing_wait_for_who_wants_them() -> None:
    got: list[str] = []

    async def handler(call: Call) -> None:
        got.append(await call.play(Tone(440, seconds=2.0)))
        got.append(await call.play(LONG, stop_digits="9"))  # pressed ahead: not even begun
        async for digit in call.digits():
            got.append(digit)

    with stage(handler) as s:
        s.alice.dial("sip:main@127.0.0.1").waits(0.2).presses("1937").waits(3.0).presses("0").hangs_up(after=1.0)
        s.world.run()
        assert got == ["", "9", "3", "7", "0"]


def test_a_key_that_is_pressed_while_the_prompt_is_read_keeps_it_from_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    got: list[tuple[str, float]] = []

    async def handler(call: Call) -> None:
        cache, loop = call.switch.media.prompts, call.switch.loop
        load = cache.load

        def slow(items: Sequence[Item], codec: str, now: float) -> list[EncodedAudio]:
            call.playback.on_info_digit("5")
            return load(items, codec, now)

        monkeypatch.setattr(cache, "load", slow)
        await call.answer()
        for verb in (call.ask(LONG, digits=1), call.play(Tone(555, seconds=3.0), stop_digits="5")):
            begun = loop.time()
            got.append((await verb, loop.time() - begun))

    with stage(handler) as s:
        s.alice.dial("sip:main@127.0.0.1")
        s.world.run()
        assert got == [("5", 0.0), ("5", 0.0)]


@pytest.mark.parametrize(
    ("pressed", "digits", "answer"),
    [("1", 1, "1"), ("#", 1, "#"), ("1234", 4, "1234"), ("12#", 4, "12"), ("12", 4, "12"), ("#", 4, "")],
)
def test_what_ask_returns(pressed: str, digits: int, answer: str) -> None:
    got: list[str] = []

    async def handler(call: Call) -> None:
        got.append(await call.ask(LONG, digits=digits, timeout=5.0, between=2.0))

    with stage(handler) as s:
        s.alice.dial("sip:main@127.0.0.1").waits(1.0).presses(pressed).waits(4.0)
        s.world.run()
        assert got == [answer]


def test_ask_without_an_answer_waits_its_time_after_the_prompt() -> None:
    got: list[tuple[str, float]] = []

    async def handler(call: Call) -> None:
        await call.answer()
        begin = asyncio.get_running_loop().time()
        answer = await call.ask(Tone(440, seconds=1.0), digits=3, timeout=2.0)
        got.append((answer, asyncio.get_running_loop().time() - begin))
        got.append((await call.ask(None, timeout=0.5), 0.5))

    with stage(handler) as s:
        s.alice.dial("sip:main@127.0.0.1")
        s.world.run()
        assert got == [("", pytest.approx(3.0, abs=0.1)), ("", 0.5)]


def test_a_prompt_that_loops_ends_with_a_digit_or_with_the_call() -> None:
    got: list[str] = []

    async def handler(call: Call) -> None:
        got.append(await call.play([Tone(440, 0.5), pause(0.5)], loop=True, stop_digits="5"))
        await call.play(Tone(440, 0.5), loop=True)

    with stage(handler) as s:
        call = s.alice.dial("sip:main@127.0.0.1").waits(30.0).presses("5").hangs_up(after=5.0)
        s.world.run()
        assert got == ["5"] and call.ended_by == "alice"


@pytest.mark.parametrize("verb", ["play", "ask", "digits", "send", "late ask"])
@pytest.mark.parametrize("by", ["caller", "server"])
def test_a_hang_up_at_any_verb_unwinds_and_leaves_nothing(verb: str, by: str) -> None:
    ends: list[object] = []

    async def handler(call: Call) -> None:
        try:
            if verb == "play":
                await call.play(LONG)
            elif verb == "ask":
                await call.ask(LONG)
            elif verb == "late ask":
                await call.ask(Tone(440, 0.1), timeout=60.0)
            elif verb == "send":
                await call.send_digits("1234567890" * 4)
            else:
                await call.answer()
                async for _ in call.digits():
                    pass
        except CallOutcome as outcome:
            ends.append(outcome.by)
            raise
        finally:
            ends.append("unwound")

    with stage(handler) as s:
        call = s.alice.dial("sip:main@127.0.0.1")
        if by == "caller":
            call.hangs_up(after=1.0)
        else:
            s.world.at(2.0, lambda: [one.end("server", reasons.NORMAL_CLEARING) for one in s.app.calls])
        s.world.run()
        assert ends == [by, "unwound"]


def test_a_verb_that_is_cancelled_stops_the_prompt_and_the_call_goes_on() -> None:
    async def handler(call: Call) -> None:
        await call.answer()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await call.play(LONG)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await call.ask(None, timeout=10.0)
        await call.play(Tone(600, seconds=1.0))

    with stage(handler) as s:
        call = s.alice.dial("sip:main@127.0.0.1").hears(600)
        s.world.run()
        assert len(call.heard.samples()) / 8000 == pytest.approx(2.0, abs=0.06)


def test_a_second_prompt_replaces_the_first() -> None:
    got: list[str] = []

    async def handler(call: Call) -> None:
        await call.answer()
        async with asyncio.TaskGroup() as group:
            group.create_task(call.play(LONG)).add_done_callback(lambda task: got.append("first"))
            await asyncio.sleep(1.0)
            await call.play(Tone(600, seconds=1.0))
            got.append("second")

    with stage(handler) as s:
        s.alice.dial("sip:main@127.0.0.1").hears(440).hears(600)
        s.world.run()
        assert got == ["first", "second"]


def test_digits_are_sent_as_events_and_a_phone_reads_them() -> None:
    async def handler(call: Call) -> None:
        await call.answer()
        await call.send_digits("12#")
        await call.send_digits("1234567890" * 4, duration=0.06, pause=0.06)
        with pytest.raises(ValueError, match="no digit"):
            await call.send_digits("12x")

    with stage(handler) as s:
        call = s.alice.dial("sip:main@127.0.0.1")
        s.world.run()
        assert call.heard.digits == "12#" + "1234567890" * 4


def test_half_the_packets_of_a_bad_line_lose_no_answer() -> None:
    got: list[str] = []

    async def handler(call: Call) -> None:
        got.append(await call.ask(LONG, digits=4))

    with stage(handler, seed=5, loss=0.05, duplicate=0.05, reorder=0.02) as s:
        s.alice.dial("sip:main@127.0.0.1").waits(1.0).presses("2580").waits(1.0)
        s.world.run()
        assert got == ["2580"]


def test_wrong_arguments_are_errors_of_the_caller() -> None:
    async def handler(call: Call) -> None:
        await call.answer()
        for wrong in (
            lambda: call.play(LONG, stop_digits="x"),
            lambda: call.ask(LONG, digits=0),
            lambda: call.ask(LONG, terminator="!"),
        ):
            with pytest.raises(ValueError):
                await wrong()
        with pytest.raises(TypeError):
            await call.play(7)  # type: ignore[arg-type]

    with stage(handler) as s:
        call = s.alice.dial("sip:main@127.0.0.1")
        s.world.run()
        assert call.ended_by == "peer" and s.app.counters["handler_errors"] == 0


def test_a_verb_after_the_end_raises_it() -> None:
    got: list[bool] = []

    async def handler(call: Call) -> None:
        await call.answer()
        try:
            await call.hung_up()
        except HungUp:
            for verb in (call.play(LONG), call.ask(LONG), call.send_digits("1")):
                with pytest.raises(HungUp):
                    await verb
                got.append(True)
            raise

    with stage(handler) as s:
        s.alice.dial("sip:main@127.0.0.1").hangs_up(after=1.0)
        s.world.run()
        assert got == [True] * 3
