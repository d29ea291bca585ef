"""What a program adds to the calls that it dials: who calls, and headers."""

from __future__ import annotations

import pytest

from sipcore.message import Request
from tests.unit.voipat.test_call import stage
from voipat import Call

pytestmark = pytest.mark.usefixtures("nothing_left")


def invite_to_bob(handler: object) -> tuple[Request, Request]:
    """(the INVITE that bob got, that of alice)"""
    with stage(handler) as s:  # type: ignore[arg-type]  # a coroutine function
        alice, bob = s.phone("alice"), s.phone("bob").answers(after=1.0)
        call = alice.dial("bob").hangs_up(after=1.0)
        s.world.run()
        got = bob.received[0].request
        assert call.was_answered and call.shown == [] and got is not None and call.request is not None
        assert bob.received[0].shown == [], "bob has seen in the INVITE who calls"
        return got, call.request


def test_a_program_sets_who_those_that_it_dials_see_as_the_caller() -> None:
    async def handler(call: Call) -> None:
        call.set_caller_id("support", name="Support")
        await call.bridge(await call.dial("bob"))

    got, _ = invite_to_bob(handler)
    assert (str(got.from_.uri), got.from_.display_name) == ("sip:support@example.com", "Support")


def test_the_caller_may_be_shown_as_a_uri_and_nonsense_is_an_error() -> None:
    async def handler(call: Call) -> None:
        with pytest.raises(ValueError, match="nobody"):
            call.set_caller_id("sip:")
        call.set_caller_id("sip:+12025550100@pstn.example")
        await call.bridge(await call.dial("bob"))

    got, _ = invite_to_bob(handler)
    assert (str(got.from_.uri), got.from_.display_name) == ("sip:+12025550100@pstn.example", None)


def test_a_program_adds_headers_to_the_invites_that_it_dials() -> None:
    async def handler(call: Call) -> None:
        headers = [("Alert-Info", "<http://127.0.0.1/ring-2>"), ("X-Account", "4711"), ("X-Account", "4712")]
        await call.bridge(await call.dial("bob", headers=headers))

    got, own = invite_to_bob(handler)
    assert got.headers.get("Alert-Info") == "<http://127.0.0.1/ring-2>"
    assert got.headers.get_all("X-Account") == ["4711", "4712"] and "X-Account" not in own.headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Via", "SIP/2.0/UDP x"),
        ("f", "<sip:x@y.test>"),
        ("Content-Length", "0"),
        ("X A", "1"),
        ("", "1"),
        ("X-A", "1\r\nVia: x"),
        ("X-A", "1\x00"),
        ("X-A", "1" * 1025),
    ],
)
def test_a_header_that_is_ours_or_none_is_an_error_of_the_program(name: str, value: str) -> None:
    async def handler(call: Call) -> None:
        with pytest.raises(ValueError):
            await call.dial("bob", headers=[(name, value)])
        await call.bridge(await call.dial("bob"))

    invite_to_bob(handler)
