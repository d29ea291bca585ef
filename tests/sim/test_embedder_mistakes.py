"""What a program gets wrong is said where it does so, and leaves nothing open."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest

import voipat
from sipcore.uri import Uri
from voipat.testing import SimWorld

Story = Callable[[voipat.Call], Awaitable[object]]


def told(seed: int, story: Story) -> list[BaseException]:
    """What the handler of a call got from `story`; nothing may be left."""
    raised: list[BaseException] = []
    app = voipat.App(listen="udp://127.0.0.1:5060")

    @app.on_call("sip:x@*", public=True)
    async def handle(call: voipat.Call) -> None:
        try:
            await story(call)
        except (ValueError, voipat.CallOutcome) as error:
            raised.append(error)

    with SimWorld(app, seed=seed) as world:
        world.phone("sip:alice@example.com").dial("sip:x@127.0.0.1")
        world.run()
        assert world.leaks() == []
    return raised


def test_an_invite_that_cannot_be_written_is_a_rejection_and_gives_its_port_back(seed: int) -> None:
    gateway = voipat.Gateway(Uri.parse("sip:1@127.0.0.9"), "1", headers=(("X-Of-Us", "a\r\nX-Evil: 1"),))
    (error,) = told(seed, lambda call: call.dial(gateway, timeout=1.0))
    assert isinstance(error, voipat.Rejected) and error.reason is voipat.reasons.BAD_TARGET


@pytest.mark.parametrize("name", ["Eve\r\nX-Evil: 1", "Eve\x00", "E\x7fve"])
def test_a_name_of_two_lines_is_refused_where_it_is_given(seed: int, name: str) -> None:
    async def shows(call: voipat.Call) -> None:
        call.set_caller_id("1001", name=name)

    (error,) = told(seed, shows)
    assert isinstance(error, ValueError) and "is no name" in str(error)
    (error,) = told(seed, lambda call: call.set_connected("1001", name=name))
    assert isinstance(error, ValueError) and "is no name" in str(error)


def test_a_rate_that_there_is_not_is_said_with_those_that_there_are(seed: int) -> None:
    async def listens(call: voipat.Call) -> None:
        async with call.audio(rate=12345):
            pass

    async def speaks(call: voipat.Call) -> None:
        async with call.voice(rate=44100):
            pass

    errors = [str(error) for story in (listens, speaks) for error in told(seed, story)]
    expected = "8000, 16000 or 48000 samples a second"
    assert errors == [f"rate 12345: {expected}", f"rate 44100: {expected}"]


@pytest.mark.parametrize("pattern", ["main", "sip:main", "SIP:main@*", "", "tel:*"])
def test_a_pattern_that_no_call_can_match_is_refused(pattern: str) -> None:
    app = voipat.App()
    with pytest.raises(ValueError, match="matches no call"):
        app.on_call(pattern)(lambda call: call.hangup())


@pytest.mark.parametrize("pattern", ["*", "sip:*", "sip:main@*", "sips:*@example.com", "*:main@*", "s*", "?ip:a@b"])
def test_a_pattern_that_calls_can_match_is_taken(pattern: str) -> None:
    voipat.App().on_call(pattern)(lambda call: call.hangup())


def test_an_advertised_name_is_refused_before_it_is_told_to_anybody() -> None:
    with pytest.raises(ValueError, match=r"pbx\.example\.com"):
        voipat.App(advertised="pbx.example.com")


def test_the_log_says_which_call_a_handler_failed_for(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    async def fails(call: voipat.Call) -> None:
        raise KeyError(call.call_id)

    with caplog.at_level(logging.ERROR), SimWorld(app := voipat.App(), seed=seed) as world:
        app.on_call("*", public=True)(fails)
        world.phone("sip:alice@example.com").dial("sip:x@127.0.0.1")
        world.run()
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.exc_info is not None and record.exc_info[1] is not None
    (call_id,) = record.exc_info[1].args
    assert record.getMessage() == f"the handler of the call {call_id} to sip:x@127.0.0.1 failed"
