"""`Call.say`: the caller hears the words for a value, one after another, with the voice of the set."""

from __future__ import annotations

from media.wav import read_wav_file
from voipat import App, Call, Number, PromptMissingError, PromptSet
from voipat.testing import SimWorld


def seconds(paths: list[str]) -> float:
    return sum(len(read_wav_file(path).samples) for path in paths) / 8000


def test_a_number_is_heard_for_as_long_as_its_words_last() -> None:
    app = App(listen="udp://127.0.0.1:5060")
    times: list[float] = []

    @app.on_call("*", public=True)
    async def balance(call: Call) -> None:
        await call.answer()
        times.append(call.switch.loop.time())
        await call.say("vm/you-have", Number(123), "vm/new-messages")
        times.append(call.switch.loop.time())

    with SimWorld(app) as world:
        call = world.phone("sip:alice@elsewhere.example").dial("sip:balance@127.0.0.1")
        world.run()
        assert call.was_answered
        assert world.leaks() == []
    words = PromptSet().say(["vm/you-have", Number(123), "vm/new-messages"])
    assert abs(times[1] - times[0] - seconds(words)) < 0.1


def test_a_prompt_that_nobody_has_is_an_error_for_the_flow_and_the_call_goes_on() -> None:
    app = App(listen="udp://127.0.0.1:5060")
    seen: list[str] = []

    @app.on_call("*", public=True)
    async def broken(call: Call) -> None:
        await call.answer()
        try:
            await call.say("no-such-prompt")
        except PromptMissingError as error:
            seen.append(str(error))
        await call.say("goodbye")
        seen.append("goodbye")

    with SimWorld(app) as world:
        call = world.phone("sip:alice@elsewhere.example").dial("sip:balance@127.0.0.1")
        world.run()
        assert call.was_answered
        assert world.leaks() == []
    assert "no-such-prompt" in seen[0]
    assert seen[1] == "goodbye"
