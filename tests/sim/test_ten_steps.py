"""D1: the caller hangs up in each step of a flow of ten, at its begin and later: `finally` runs, nothing stays.

Generated: the steps mark where they are, and each run ends the call at another of these marks.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.voipat.test_call import stage
from voipat import Call, Cancelled, HungUp, Tone, events
from voipat.testing import PhoneCall, SimWorld

pytestmark = pytest.mark.usefixtures("nothing_left")

STEPS = ("ring", "answer", "play", "ask", "send_digits", "speak", "record", "hold", "dial", "bridge")


class Flow:
    """Ten verbs in a row; `leaves` at a step, so many seconds after it began."""

    def __init__(self, folder: Path, step: str, after: float) -> None:
        self.folder = folder
        self.step, self.after = step, after
        self.world: SimWorld
        self.caller: PhoneCall
        self.begun: list[str] = []
        self.cleaned: list[str] = []
        self.raised: list[type[BaseException]] = []

    async def handle(self, call: Call) -> None:
        try:
            for step in STEPS:
                self.begun.append(step)
                if step == self.step:
                    self.world.at(self.world.now + self.after, self._leave)
                await getattr(self, f"_{step}")(call)
        except BaseException as raised:
            self.raised.append(type(raised))
            raise
        finally:
            self.cleaned.append(self.begun[-1])

    def _leave(self) -> None:
        if self.caller.was_answered:
            self.caller.hang_up()
        else:
            self.caller.give_up()

    async def _ring(self, call: Call) -> None:
        await call.ring()
        await call.until(call.switch.loop.create_future(), timeout=1.0)

    async def _answer(self, call: Call) -> None:
        await call.answer()

    async def _play(self, call: Call) -> None:
        await call.play(Tone(440, seconds=1.0))

    async def _ask(self, call: Call) -> None:
        assert await call.ask(Tone(600, seconds=0.3), timeout=1.0) == ""

    async def _send_digits(self, call: Call) -> None:
        await call.send_digits("12345")

    async def _speak(self, call: Call) -> None:
        await call.speak([bytes(320)] * 50, rate=8000)

    async def _record(self, call: Call) -> None:
        async with call.record(self.folder / "note.wav", max_seconds=1.0) as recording:
            await recording.finished()

    async def _hold(self, call: Call) -> None:
        await call.hold()
        await call.until(call.switch.loop.create_future(), timeout=1.0)
        await call.resume()

    async def _dial(self, call: Call) -> None:
        self.other = await call.dial("bob", timeout=20.0)

    async def _bridge(self, call: Call) -> None:
        await call.bridge(self.other)


@pytest.mark.parametrize("after", [0.0, 0.05, 0.6])
@pytest.mark.parametrize("step", STEPS)
def test_a_hang_up_in_each_step_unwinds_the_flow(tmp_path: Path, step: str, after: float) -> None:
    flow = Flow(tmp_path, step, after)
    with stage(flow.handle) as s:
        flow.world = s.world
        alice, _ = s.phone("alice"), s.phone("bob").answers(after=1.0)
        flow.caller = alice.dial("x")
        s.world.run(until=s.world.now + 40.0)
        # What is over at once, such as an answer, is left in the step that follows.
        assert STEPS.index(flow.begun[-1]) - STEPS.index(step) in ((0, 1) if step == "answer" else (0,))
        assert flow.cleaned == [flow.begun[-1]], "finally ran once"
        assert issubclass(flow.raised[0], (HungUp, Cancelled))
        legs = [event.leg for event in s.told if isinstance(event, events.CallEnded)]
        assert legs.count("a") == 1 and legs.count("b") == (flow.begun[-1] in ("dial", "bridge"))
        assert s.app.counters["handler_errors"] == 0
        s.world.run()
